"""Images mirrored, turned, scaled and shifted in one resampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resample_affine(
    images: Tensor,
    *,
    size: Tensor,
    shift: Tensor,
    angle: Tensor | None = None,
    mirror: Tensor | None = None,
    mode: str = "bilinear",
) -> Tensor:
    """Resample each image on its own, with the border reflected; differentiable in the images.

    The result at a place p of the image, from its middle, is read at  M · size · R(angle) · p + shift.

    Args:
        images: [B, C, H, W], floating point.
        size: [B], above 1 makes what is seen smaller.
        shift: [2, B], across and down, as shares of the sides.
        angle: [B], radians; None turns nothing.
        mirror: [B], −1 where left and right change places, else 1; None mirrors nothing.
        mode: `bilinear` or `bicubic`.
    """
    zero = torch.zeros_like(size)
    cosine, sine = (size, zero) if angle is None else (size * angle.cos(), size * angle.sin())
    across, down = 2 * shift  # the grid spans −1 … 1, so a whole side is 2
    first = (cosine, -sine) if mirror is None else (mirror * cosine, -mirror * sine)
    matrix = torch.stack([*first, across, sine, cosine, down], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix.to(images), list(images.shape), align_corners=False)
    moved: Tensor = F.grid_sample(images, grid, mode=mode, padding_mode="reflection", align_corners=False)
    return moved
