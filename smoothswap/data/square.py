"""From a picture of any size to the square that data sets hand out."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smoothswap.data.decode import Pixels


def centre_square(
    pixels: Pixels, size: int, window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> Tensor:
    """Cut out the centre square, or a window of it, and resize it with antialiasing (Lanczos).

    The square lies on whole pixels, so that a picture that has the size already passes unchanged.

    Args:
        pixels: uint8 [H, W, 3].
        size: side S of the result, pixels.
        window: left, top, right and bottom edge of the part to keep, as shares of the square's side.

    Returns:
        uint8 [3, S, S].
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    box = tuple(edge * side for edge in window)
    if (side, box) != (size, (0, 0, side, side)):
        image = Image.fromarray(np.ascontiguousarray(square))
        square = np.array(image.resize((size, size), Image.Resampling.LANCZOS, box=box))
    return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))
