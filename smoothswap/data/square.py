"""From a picture of any size to the square that data sets hand out."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smoothswap.data.decode import Pixels


def centre_square(pixels: Pixels, size: int) -> Tensor:
    """Cut out the centre square and resize it with antialiasing (Lanczos).

    The cut lies on whole pixels, so that a picture that has the size already passes unchanged.

    Args:
        pixels: uint8 [H, W, 3].
        size: side S of the result, pixels.

    Returns:
        uint8 [3, S, S].
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side != size:
        image = Image.fromarray(np.ascontiguousarray(square))
        square = np.array(image.resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))
