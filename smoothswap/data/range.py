"""Between bytes on disk and the numbers that models see."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError


def to_float(pictures: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bytes to [-1, 1]: x / 127.5 − 1, so that 0 becomes −1 and 255 becomes 1.

    Args:
        pictures: uint8, any shape, on any device.
        dtype: floating-point type of the result.

    Raises:
        ArgumentError: not uint8, such as pictures that were converted already.
    """
    if pictures.dtype != torch.uint8:
        raise ArgumentError(f"pictures have dtype {pictures.dtype}, but torch.uint8 with values 0 … 255 is needed")
    return pictures.to(dtype).div_(127.5).sub_(1.0)


def to_bytes(pictures: Tensor) -> Tensor:
    """[-1, 1] to bytes, rounded to nearest; values outside become 0 or 255. The inverse of `to_float`.

    Args:
        pictures: floating point, any shape, on any device.

    Raises:
        ArgumentError: integers.
    """
    if not pictures.is_floating_point():
        raise ArgumentError(f"pictures have dtype {pictures.dtype}, but floating point in [-1, 1] is needed")
    # Half precision has no room for 256 steps plus rounding.
    return pictures.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
