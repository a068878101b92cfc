"""bias_act and its gradient in CUDA C++ (csrc/cuda/bias_act.cu): every activation, in one pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smoothswap.ops import backend, native_cuda
from smoothswap.ops.layout import memory_format

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
    layout = memory_format(g)
    g, ref = g.contiguous(memory_format=layout), ref.contiguous(memory_format=layout)
    dx = torch.empty_like(g, memory_format=layout)
    if g.numel() > 0:
        native_cuda.ops().bias_act_grad(g, ref, dx, from_output, _number(act), _slope(act, alpha), gain, clamp)
    return dx


def _objection(*tensors: Tensor | None, act: str = "lrelu", from_output: bool = True) -> str | None:
    if not from_output and act not in (*_LEAKY, "swish"):
        return f"the cuda kernel takes the derivative of {act} from its result alone"
    return native_cuda.device_objection(*tensors)


backend.attach("bias_act", "cuda", run, _objection)
backend.attach("bias_act_grad", "cuda", run_grad, _objection)
