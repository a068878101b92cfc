"""Distance of a swapped picture from the true swap, and from what must not change.

Pictures are [B, 3, S, S] in [-1, 1], so the peak of every PSNR is 2. Masks are [B, 1, S, S]; a pixel counts where the
mask is above one half.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError

PEAK = 2.0
"""From black (-1) to white (1)."""

CEILING = 10 * math.log10(12 * 255**2)
"""Largest PSNR that is told, 58.9 dB: the rounding noise of a picture of 8 bits. It keeps the mean over pictures finite
when one is met exactly, and no picture file could show more."""


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each picture, at most `CEILING`.

    Args:
        a: pictures [B, 3, S, S] in [-1, 1].
        b: pictures [B, 3, S, S] in [-1, 1].
        mask: where to look [B, 1, S, S]; None for everywhere.

    Returns:
        dB [B]; NaN where a mask is empty.

    Raises:
        ArgumentError: shapes that do not go together.
    """
    _check(a, b, mask)
    return decibels(mean_square(a - b, mask))


def decibels(square: Tensor) -> Tensor:
    """Mean squared error of pictures in [-1, 1], any shape → PSNR in dB, at most `CEILING`."""
    return (10 * torch.log10(PEAK**2 / square.double())).clamp(max=CEILING)


def mean_square(difference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean square of `difference` [B, 3, S, S] inside `mask` [B, 1, S, S] → [B]; NaN where a mask is empty."""
    square = difference.double().square().mean(dim=1, keepdim=True)
    if mask is None:
        return square.mean(dim=(1, 2, 3))
    inside = (mask > 0.5).double()
    return (square * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3))


def change_made(swapped: Tensor, target: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """How far each picture went from the target towards the true swap, inside a mask.

    The change made is projected on the true change d = truth − target: made = ⟨swapped − target, d⟩, of ‖d‖². The
    share of a set of pictures is Σ made / Σ of, so that pairs of people who look alike weigh little:
    0 copies the target, 1 makes the whole change, more overshoots, less than 0 goes the wrong way.

    Args:
        swapped: pictures [B, 3, S, S].
        target: pictures [B, 3, S, S].
        truth: the true swaps [B, 3, S, S].
        mask: where to look [B, 1, S, S].

    Returns:
        made [B] and of [B].

    Raises:
        ArgumentError: shapes that do not go together.
    """
    _check(swapped, target, mask)
    _check(target, truth, mask)
    change = (truth - target).double() * (mask > 0.5)
    made = ((swapped - target).double() * change).sum(dim=(1, 2, 3))
    return made, change.square().sum(dim=(1, 2, 3))


def union(*masks: Tensor) -> Tensor:
    """Masks, each [B, 1, S, S] in 0 to 1 → where any of them is [B, 1, S, S]."""
    return torch.stack(masks).amax(dim=0)


def background(*heads: Tensor) -> Tensor:
    """Pixels that no head touches, not even with an antialiased edge: heads each [B, 1, S, S] → 0 or 1 [B, 1, S, S]."""
    return (union(*heads) < 1e-3).float()


def outline(head: Tensor, other: Tensor, margin: int = 1) -> Tensor:
    """Pixels that are head in one picture and not in the other, with `margin` pixels around them.

    What changes in these pixels is the shape of the head and its hair.

    Args:
        head: head mask of one picture [B, 1, S, S] in 0 to 1.
        other: head mask of the other [B, 1, S, S].
        margin: how far to grow the region, pixels.

    Returns:
        0 or 1 [B, 1, S, S].
    """
    differs = ((head > 0.5) != (other > 0.5)).float()
    return F.max_pool2d(differs, 2 * margin + 1, stride=1, padding=margin)


def _check(a: Tensor, b: Tensor, mask: Tensor | None) -> None:
    fits = mask is None or mask.shape == (a.shape[0], 1, *a.shape[2:])
    if a.ndim != 4 or a.shape != b.shape or not fits:
        raise ArgumentError(
            "pictures must be two tensors [B, C, H, W] and a mask [B, 1, H, W]",
            f"pictures: {list(a.shape)} and {list(b.shape)}",
            f"mask: {'none' if mask is None else list(mask.shape)}",
        )
