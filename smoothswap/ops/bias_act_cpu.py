"""bias_act and its gradient in C++ on the CPU (csrc/cpu/bias_act_kernel.cpp): linear, relu and lrelu in one pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import memory_format

_SERVED = ("linear", "relu", "lrelu")


def _slope(act: str, alpha: float) -> float:
    """Slope below zero."""
    return {"linear": 1.0, "relu": 0.0, "lrelu": alpha}[act]


def run(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The op's arguments; x of any shape, b [C] along `dim`."""
    layout = memory_format(x)
    x = x.contiguous(memory_format=layout)
    y = torch.empty_like(x, memory_format=layout)
    if x.numel() == 0:
        return y
    channels, inner = 1, x.numel()  # x lies in memory as [outer, channels, inner]
    if b is not None:
        b = b.contiguous()
        order = [0, 2, 3, 1] if layout == torch.channels_last else list(range(x.ndim))
        channels, inner = b.shape[0], math.prod(x.shape[i] for i in order[order.index(dim) + 1 :])
    torch.ops.smoothswap_native.bias_act(x, y, b, channels, inner, _slope(act, alpha), gain, clamp)
    return y


def run_grad(g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The arguments of `bias_act_grad`; g and ref of one shape, ref being the op's result."""
    layout = memory_format(g)
    g, ref = g.contiguous(memory_format=layout), ref.contiguous(memory_format=layout)
    dx = torch.empty_like(g, memory_format=layout)
    if g.numel() > 0:
        torch.ops.smoothswap_native.bias_act_grad(g, ref, dx, _slope(act, alpha), gain, clamp)
    return dx


def _objection(*tensors: Tensor | None, act: str = "lrelu", from_output: bool = True) -> str | None:
    if act not in _SERVED:
        return f"the cpu kernel has {', '.join(_SERVED)}, not {act}"
    if not from_output:
        return "the cpu kernel needs a gain other than zero and an alpha of at least zero"
    return None


_LIMITS = f"{', '.join(_SERVED)}; the reference serves the other activations"
backend.attach("bias_act", "cpu", run, _objection, _LIMITS)
backend.attach("bias_act_grad", "cpu", run_grad, _objection, _LIMITS)
