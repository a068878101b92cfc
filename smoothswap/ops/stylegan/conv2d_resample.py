"""StyleGAN's module `conv2d_resample`: a convolution between FIR up- and downsampling."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import checks
from smoothswap.ops.resampled_conv import plan
from smoothswap.ops.upfirdn2d import check_filter

__all__ = ["conv2d_resample"]


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
) -> Tensor:
    """Convolves x after upsampling, or before downsampling, with a FIR filter.

    Args:
        x: [N, I, H, W].
        w: [O, I / groups, kh, kw], x's dtype.
        f: low-pass filter [K] or [Kh, Kw] from `setup_filter`; None: none.
        up: integer factor by which the image grows.
        down: integer factor by which it shrinks.
        padding: pixels around the upsampled image: p, [x, y] or [left, right, top, bottom].
        groups: groups of channels.
        flip_weight: True correlates, as torch.nn.functional.conv2d does; False convolves.
        flip_filter: False convolves with f, True correlates.

    Returns:
        [N, O, H', W'].

    Raises:
        ArgumentError: shapes, dtypes or devices that do not fit, factors below 1, an empty result.
    """
    op = "conv2d_resample"
    for name, tensor in (("x", x), ("w", w)):
        checks.floating(op, name, tensor)
        checks.same_device(op, "x", x, name, tensor)
        checks.same_dtype(op, "x", x, name, tensor)
    checks.rank(op, "x", x, [4], "[N, I, H, W]")
    checks.rank(op, "w", w, [4], "[O, I / groups, kh, kw]")
    up, down = checks.count(op, "up", up), checks.count(op, "down", down)
    groups = checks.count(op, "groups", groups)
    if w.shape[1] * groups != x.shape[1] or w.shape[0] % groups:
        raise ArgumentError(
            f"{op}: w takes {w.shape[1]} channels in each of {groups} groups, expected {x.shape[1]} together",
            f"x: {checks.about(x)}",
            f"w: {checks.about(w)}",
        )
    if f is not None:
        check_filter(op, x, f)
        f = f.flip(list(range(f.ndim))) if flip_filter else f
    steps = plan(w, up, down, checks.padding4(op, padding), f)
    if min(steps.output_size(x.shape[2], x.shape[3])) < 1:
        raise ArgumentError(
            f"{op}: nothing is left of x: the padded image is smaller than the kernel or the filter",
            f"x: {checks.about(x)}",
            f"w: {checks.about(w)}",
            f"up {up}, down {down}, padding {padding}",
        )
    w = w if flip_weight else w.flip([2, 3])
    x = x if steps.before is None else steps.before.forward(x)
    if steps.transposed:
        x = F.conv_transpose2d(x, _transposed(w, groups), stride=steps.stride, padding=steps.padding, groups=groups)
    else:
        x = F.conv2d(x, w, stride=steps.stride, padding=steps.padding, groups=groups)
    return x if steps.after is None else steps.after.forward(x)


def _transposed(w: Tensor, groups: int) -> Tensor:
    """The weight [I, O / groups, kh, kw] that conv_transpose2d takes, for w [O, I / groups, kh, kw] that correlates."""
    O, I, *taps = w.shape
    grouped = w.flip([2, 3]).reshape(groups, O // groups, I, *taps)
    return grouped.transpose(1, 2).reshape(groups * I, O // groups, *taps)
