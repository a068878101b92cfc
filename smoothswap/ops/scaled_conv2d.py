"""scaled_conv2d: a convolution between two scalings of channels, a family that is closed under differentiation.

    y = a·C(b·x, w)          b [N, I] before, a [N, O] after: scales of samples' channels; C: correlation with padding

Its adjoint in x is b·Cᵀ(a·g, w), and Cᵀ is a correlation again: w with its channels exchanged and its taps reversed,
the padding k − 1 − p. One kernel therefore serves modulated_conv2d's input gradient and that gradient's own gradients.
The weight's gradient is an op of its own, conv2d_weight_gradient, whose derivatives are scaled_conv2d again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.define import define
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast


def scaled_conv2d(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    """Convolves with stride 1 between two scalings of channels.

    Args:
        x: [N, I, H, W], or [N, O, H, W] for the adjoint.
        weight: [O, I, kh, kw] of x's dtype.
        before: scales of x's channels, [N, I] ([N, O] for the adjoint), in fp64 for fp64, else in fp32. None: ones.
        after: scales of the result's channels, [N, O] ([N, I] for the adjoint), likewise.
        padding: [left, right, top, bottom] around x; negative crops.
        adjoint: correlate with the weight whose channels are exchanged and whose taps are reversed.

    Returns:
        [N, O, H', W'] ([N, I, H', W'] for the adjoint), x's dtype and memory format; H' = H + top + bottom − kh + 1.
    """
    return torch.ops.smoothswap.scaled_conv2d(x, weight, before, after, padding, adjoint)  # type: ignore[no-any-return]


def adjoint_padding(weight: Tensor, padding: Sequence[int]) -> list[int]:
    """Padding of the adjoint of a correlation with weight [O, I, kh, kw]."""
    kh, kw = weight.shape[2:]
    return [kw - 1 - padding[0], kw - 1 - padding[1], kh - 1 - padding[2], kh - 1 - padding[3]]


def _kernel(weight: Tensor, adjoint: bool) -> Tensor:
    """Weight [O, I, kh, kw] as it is correlated: [I, O, kh, kw] for the adjoint."""
    return weight.transpose(0, 1).flip([2, 3]) if adjoint else weight


def scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    """Multiplies x [N, C, H, W] by scale [N, C]; a low-precision x keeps its dtype."""
    return x if scale is None else x * scale.to(x.dtype)[:, :, None, None]


def reference(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    """The op in stock PyTorch."""
    with without_autocast(x):
        work = arithmetic(x.dtype) if x.device.type == "cpu" else x.dtype
        left, right, top, bottom = padding
        y, pads = scaled(x.to(work), before), (top, left)
        if left != right or top != bottom or left < 0 or top < 0:
            y, pads = F.pad(y, list(padding)), (0, 0)
        y = scaled(F.conv2d(y, _kernel(weight, adjoint).to(work), padding=pads), after)
        return y.to(x.dtype).contiguous(memory_format=memory_format(x))


def _run(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    kernel = backend.choose("scaled_conv2d", x, weight, before, after, padding=padding)
    return kernel(x, weight, before, after, padding, adjoint)  # type: ignore[no-any-return]


def _fake(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    left, right, top, bottom = padding
    size = [
        x.shape[0],
        weight.shape[1 if adjoint else 0],
        x.shape[2] + top + bottom - weight.shape[2] + 1,
        x.shape[3] + left + right - weight.shape[3] + 1,
    ]
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, before, after, ctx.padding, ctx.adjoint = inputs
    ctx.save_for_backward(x, weight, before, after)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, before, after = ctx.saved_tensors
    wide = arithmetic(x.dtype)
    want_x, want_weight, want_before, want_after, *_ = ctx.needs_input_grad
    gx = gweight = gbefore = gafter = None
    if want_x or (before is not None and want_before):
        unscaled = scaled_conv2d(g, weight, after, None, adjoint_padding(weight, ctx.padding), not ctx.adjoint)
        gx = scaled(unscaled, before)
        if before is not None and want_before:
            gbefore = (unscaled * x).sum([2, 3], dtype=wide)
    if want_weight and weight_gradients_wanted():
        # By its name: the op's file needs this one.
        gradient = torch.ops.smoothswap.conv2d_weight_gradient
        gkernel = gradient(x, before, g, after, weight.shape[2:], ctx.padding)
        gweight = _kernel(gkernel, ctx.adjoint).to(weight.dtype)
    if after is not None and want_after:
        # Not from the result, which does not tell u where the scale is zero.
        u = scaled_conv2d(x, weight, before, None, ctx.padding, ctx.adjoint)
        gafter = (g * u).sum([2, 3], dtype=wide)
    return gx, gweight, gbefore, gafter, None, None


define(
    "scaled_conv2d",
    "(Tensor x, Tensor weight, Tensor? before, Tensor? after, int[4] padding, bool adjoint) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=reference,
)
backend.attach("scaled_conv2d", "reference", reference)
