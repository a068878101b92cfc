"""bias_act and its gradients in CUDA C++ (csrc/cuda/bias_act*.cu): every activation, each in one pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smoothswap.ops import (
    backend,
    bias_act_grad,  # noqa: F401  it attaches what it composes, which this file replaces in part
    native_cuda,
)
from smoothswap.ops.layout import arithmetic, memory_format

# Numbers of csrc/cuda/bias_act_kernel.h: linear, relu and lrelu differ by their slope below zero alone.
_LEAKY = ("linear", "relu", "lrelu")
_CURVES = ("tanh", "sigmoid", "elu", "selu", "softplus", "swish")


def _number(act: str) -> int:
    return 0 if act in _LEAKY else 1 + _CURVES.index(act)


def _slope(act: str, alpha: float) -> float:
    """Slope below zero."""
    return {"linear": 1.0, "relu": 0.0}.get(act, alpha)


def channels_in_memory(x: Tensor, dim: int) -> tuple[int, int]:
    """How a dense x, contiguous or channels_last, lies in memory as [outer, channels, inner]: channels and inner."""
    order = [0, 2, 3, 1] if memory_format(x) == torch.channels_last else list(range(x.ndim))
    return x.shape[dim], math.prod(x.shape[i] for i in order[order.index(dim) + 1 :])


def run(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The op's arguments; x of any shape, b [C] along `dim`."""
    layout = memory_format(x)
    x = x.contiguous(memory_format=layout)
    y = torch.empty_like(x, memory_format=layout)
    if x.numel() == 0:
        return y
    channels, inner = (1, x.numel()) if b is None else channels_in_memory(x, dim)
    b = None if b is None else b.contiguous()
    native_cuda.ops().bias_act(x, y, b, channels, inner, _number(act), _slope(act, alpha), gain, clamp)
    return y


def run_grad(g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The arguments of `bias_act_grad`; g and ref of one shape."""
    return run_backward(g, ref, None, 0, False, from_output, act, alpha, gain, clamp)[0]


def run_backward(
    g: Tensor,
    ref: Tensor,
    b: Tensor | None,
    dim: int,
    bias_gradient: bool,
    from_output: bool,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> tuple[Tensor, Tensor]:
    """The arguments of `bias_act_backward`; g and ref of one shape, b [C] along `dim`."""
    layout = memory_format(g)
    g, ref = g.contiguous(memory_format=layout), ref.contiguous(memory_format=layout)
    dx, db = torch.empty_like(g), g.new_empty(g.shape[dim] if bias_gradient else 0)
    if g.numel() == 0:
        return dx, db.zero_()
    if from_output and clamp >= 0:  # as y holds it
        clamp = torch.tensor(clamp, dtype=ref.dtype, device="cpu").item()
    options = (from_output, _number(act), _slope(act, alpha), gain, clamp)
    if b is None and not bias_gradient:
        native_cuda.ops().bias_act_grad(g, ref, dx, *options)
        return dx, db
    channels, inner = channels_in_memory(g, dim)
    wide = arithmetic(g.dtype)
    partial = g.new_empty([channels, _parts(g.numel() // (channels * inner), channels, inner)], dtype=wide)
    b = None if b is None else b.contiguous()
    native_cuda.ops().bias_act_backward(g, ref, b, dx, db if bias_gradient else None, partial, inner, *options)
    return dx, db


def _parts(outer: int, channels: int, inner: int) -> int:
    """Parts that a channel's sum is cut into: some thousand blocks in all, each of several thousand values."""
    groups = -(-channels // 1024) if inner == 1 else channels  # channels that a block takes together: about 1024 or 1
    work = outer * inner * channels // groups
    return max(1, min(-(-work // 8192), -(-4096 // groups)))


def _objection(*tensors: Tensor | None, **options: object) -> str | None:
    return native_cuda.device_objection(*tensors)


backend.attach("bias_act", "cuda", run, _objection)
backend.attach("bias_act_grad", "cuda", run_grad, _objection)
backend.attach("bias_act_backward", "cuda", run_backward, _objection)
