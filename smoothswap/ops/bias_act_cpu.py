"""bias_act and its derivatives in C++ on the CPU (csrc/cpu/bias_act_kernel.cpp), each in one pass over memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import memory_format

# as in csrc/cpu/bias_act_kernel.h
_NUMBER = {
    act: number
    for number, act in enumerate(
        ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"),
    )
}


def _inner(x: Tensor, layout: torch.memory_format, dim: int) -> int:
    """How many values lie side by side in memory for each channel."""
    if layout == torch.channels_last:
        return (x.shape[3] if dim == 2 else 1) * (x.shape[1] if dim > 1 else math.prod(x.shape[1:]) if dim == 0 else 1)
    return math.prod(x.shape[dim + 1 :])


def run(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The op's arguments; x of any shape, b [C] along `dim`."""
    layout = memory_format(x)
    x = x.contiguous(memory_format=layout)
    y = torch.empty_like(x)
    if x.numel() == 0:
        return y
    channels, inner = 1, 1
    if b is not None:
        b, channels, inner = b.contiguous(), x.shape[dim], _inner(x, layout, dim)
    torch.ops.smoothswap_native.bias_act(x, y, b, channels, inner, _NUMBER[act], alpha, gain, clamp)
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
    dx, db = _derive(None, g, ref, None, b, layout, dim, bias_gradient, from_output, act, alpha, gain, clamp)
    return dx, db


def run_second(
    h: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor]:
    """The arguments of `bias_act_second`; h, g and ref of one shape, b [C] along `dim`."""
    layout = memory_format(h)
    wanted, dref = memory_format(ref), torch.empty_like(ref, memory_format=layout)
    h, g, ref = (t.contiguous(memory_format=layout) for t in (h, g, ref))
    dg, db = _derive(h, g, ref, dref, b, layout, dim, bias_gradient, from_output, act, alpha, gain, clamp)
    return dg, dref.contiguous(memory_format=wanted), db


def _derive(
    h: Tensor | None,
    g: Tensor,
    ref: Tensor,
    dref: Tensor | None,
    b: Tensor | None,
    layout: torch.memory_format,
    dim: int,
    bias_gradient: bool,
    from_output: bool,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> tuple[Tensor, Tensor]:
    """Gives dx and db; or with h: dg and db, and dref is filled. All tensors but b [C] dense and of one layout."""
    dx, channels, inner = torch.empty_like(g), 1, 1
    if b is not None or bias_gradient:
        channels, inner = g.shape[dim], _inner(g, layout, dim)
    db = g.new_empty(channels if bias_gradient else 0)
    if g.numel() == 0:
        return dx, db.zero_()
    torch.ops.smoothswap_native.bias_act_grad(
        h,
        g,
        ref,
        None if b is None else b.contiguous(),
        dx,
        dref,
        db if bias_gradient else None,
        channels,
        inner,
        from_output,
        _NUMBER[act],
        alpha,
        gain,
        clamp,
    )
    return dx, db


backend.attach("bias_act", "cpu", run)
backend.attach("bias_act_grad", "cpu", run_grad)
backend.attach("bias_act_backward", "cpu", run_backward)
backend.attach("bias_act_second", "cpu", run_second)
