"""How much fine detail images hold, to tell a blurred swap from a sharp one.

The high-pass filter is h = δ − [1 2 1]ᵀ[1 2 1] / 16. At a frequency of ω radians per pixel along a row or a column it
lets sin²(ω / 2) of the amplitude pass: nothing at 0, one half at half of Nyquist, all at Nyquist. The detail of an
image is the energy of what passes, ‖h ∗ x‖², inside a mask. The sharpness of a set of swaps is

    Σ ‖h ∗ swap‖² / Σ ‖h ∗ true swap‖²

over the pixels that are head in the target or in the true swap: 1 is as sharp as the true swap, less is blurred, more
is noisy or sharpened too much.

It compares energies, not images. So it does not see whether the detail is the right one, or in the right place: a
copied target is as sharp as any swap, and noise can make up for blur. Strong edges, of hair against skin, weigh more
than faint texture. PSNR and the shares of the true change see what it misses.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError


def high_pass(images: Tensor) -> Tensor:
    """Filter images [B, C, H, W] by h, their borders reflected → float64 [B, C, H, W].

    Raises:
        ArgumentError: another number of dimensions, or a side of a single pixel.
    """
    if images.ndim != 4 or min(images.shape[2:]) < 2:
        raise ArgumentError(f"images must be [B, C, H, W] of at least 2 x 2 pixels, got {list(images.shape)}")
    x = images.double()
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    rows = (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]) / 4
    return x - (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


def detail(images: Tensor, mask: Tensor) -> Tensor:
    """Energy of the detail of images inside a mask, summed over channels and pixels.

    The filter sees the whole image, so that the edge of the mask is no edge of the image.

    Args:
        images: [B, C, H, W] in [-1, 1].
        mask: where to look [B, 1, H, W]; a pixel counts where it is above one half.

    Returns:
        float64 [B].

    Raises:
        ArgumentError: shapes that do not go together.
    """
    high = high_pass(images)
    if mask.shape != (images.shape[0], 1, *images.shape[2:]):
        raise ArgumentError(
            "the detail of images [B, C, H, W] is measured in a mask [B, 1, H, W]",
            f"images: {list(images.shape)}",
            f"mask: {list(mask.shape)}",
        )
    return (high.square() * (mask > 0.5)).sum(dim=(1, 2, 3))
