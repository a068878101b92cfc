"""StyleGAN's module `fma`."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fma"]


def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The sum a · b + c, of shapes that broadcast."""
    return torch.addcmul(c, a, b)
