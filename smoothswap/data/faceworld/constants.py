"""Small constant vectors on the device of a tensor, put there once.

A tensor made from Python numbers is copied to a GPU while the processor waits for all that the GPU has queued.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def constant(like: Tensor, *values: float) -> Tensor:
    """[len(values)] with type and device of `like`; shared, so never to be changed in place."""
    return _made(values, like.dtype, like.device)


@cache
def _made(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # an inference tensor would be of no use to later callers
        return torch.tensor(values, dtype=dtype, device=device)
