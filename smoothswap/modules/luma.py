"""Brightness of colours."""

from __future__ import annotations

from torch import Tensor

_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def luma(images: Tensor) -> Tensor:
    """Brightness [B, 1, H, W] of RGB images [B, 3, H, W], in the same units."""
    return (images * images.new_tensor(_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
