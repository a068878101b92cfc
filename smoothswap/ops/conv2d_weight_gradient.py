"""conv2d_weight_gradient: the gradient of scaled_conv2d by its weight, as an op.

    r_oiab = Σ_n a_no b_ni Σ_p g_nop · x̃_ni,p+(a,b)        x̃: x with its padding; b before, a after, scales of channels

For any v shaped like it, ⟨v, r⟩ = ⟨a·g, C(b·x, v)⟩: the op's own gradients are scaled_conv2d with v as the weight (by
g), its adjoint (by x), and sums of both over pixels (by the scales). The two ops are thus closed under differentiation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.define import define
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.scaled_conv2d import adjoint_padding, scaled, scaled_conv2d


def conv2d_weight_gradient(
    x: Tensor, before: Tensor | None, g: Tensor, after: Tensor | None, taps: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Gradient of the weight in y = after · C(before · x, weight) with stride 1.

    Args:
        x: [N, I, H, W].
        before: scales of x's channels, [N, I], in fp64 for fp64, else in fp32. None: ones.
        g: gradient of y, [N, O, H', W'], x's dtype.
        after: scales of y's channels, [N, O], likewise. None: ones.
        taps: (kh, kw) of the weight.
        padding: [left, right, top, bottom] around x; negative crops.

    Returns:
        [O, I, kh, kw] in fp64 for fp64, else in fp32, as it is a sum over the batch; laid out as x is.
    """
    return torch.ops.smoothswap.conv2d_weight_gradient(x, before, g, after, taps, padding)  # type: ignore[no-any-return]


def of_scaled(x: Tensor, g: Tensor, taps: Sequence[int], padding: Sequence[int]) -> Tensor:
    """The gradient [O, I, kh, kw] for x [N, I, H, W] and g [N, O, H', W'] that are scaled already, by PyTorch."""
    left, right, top, bottom = padding
    layout, pads = memory_format(x), [top, left]
    if left != right or top != bottom or left < 0 or top < 0:
        x, pads = F.pad(x, list(padding)), [0, 0]
    weight = x.new_empty([g.shape[1], x.shape[1], *taps])  # only its shape is read
    gradients = torch.ops.aten.convolution_backward(
        g, x, weight, None, [1, 1], pads, [1, 1], False, [0, 0], 1, [False, True, False]
    )
    return gradients[1].to(arithmetic(x.dtype)).contiguous(memory_format=layout)  # type: ignore[no-any-return]


def reference(
    x: Tensor, before: Tensor | None, g: Tensor, after: Tensor | None, taps: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """The op in stock PyTorch."""
    with without_autocast(x):
        work = arithmetic(x.dtype) if x.device.type == "cpu" else x.dtype
        return of_scaled(scaled(x.to(work), before), scaled(g.to(work), after), taps, padding)


def _run(
    x: Tensor, before: Tensor | None, g: Tensor, after: Tensor | None, taps: Sequence[int], padding: Sequence[int]
) -> Tensor:
    kernel = backend.choose("conv2d_weight_gradient", x, before, g, after, padding=padding)
    return kernel(x, before, g, after, taps, padding)  # type: ignore[no-any-return]


def _fake(
    x: Tensor, before: Tensor | None, g: Tensor, after: Tensor | None, taps: Sequence[int], padding: Sequence[int]
) -> Tensor:
    size = [g.shape[1], x.shape[1], *taps]
    return torch.empty(size, dtype=arithmetic(x.dtype), device=x.device, memory_format=memory_format(x))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, before, g, after, _, ctx.padding = inputs
    ctx.save_for_backward(x, before, g, after)


def _backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    x, before, g, after = ctx.saved_tensors
    weight, wide = v.to(x.dtype), arithmetic(x.dtype)
    want_x, want_before, want_g, want_after, *_ = ctx.needs_input_grad
    gx = gbefore = gg = gafter = None
    # Scaled behind the op, not in it: the sums for the scales are over what is not scaled.
    if want_x or want_before:
        by_scaled_x = scaled_conv2d(g, weight, after, None, adjoint_padding(weight, ctx.padding), True)
        gx = scaled(by_scaled_x, before) if want_x else None
        if before is not None and want_before:
            gbefore = (by_scaled_x * x).sum([2, 3], dtype=wide)
    if want_g or want_after:
        by_scaled_g = scaled_conv2d(x, weight, before, None, ctx.padding, False)
        gg = scaled(by_scaled_g, after) if want_g else None
        if after is not None and want_after:
            gafter = (by_scaled_g * g).sum([2, 3], dtype=wide)
    return gx, gbefore, gg, gafter, None, None


define(
    "conv2d_weight_gradient",
    "(Tensor x, Tensor? before, Tensor g, Tensor? after, int[2] taps, int[4] padding) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=reference,
)
backend.attach("conv2d_weight_gradient", "reference", reference)
