"""What every op agrees on: memory format of the result, dtype of the arithmetic, and no autocast inside."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def memory_format(x: Tensor) -> torch.memory_format:
    """Format of the result for an input x [B, C, H, W]: channels_last where x is laid out so, else contiguous."""
    if x.ndim != 4 or x.is_contiguous() or torch._C._are_functorch_transforms_active():
        return torch.contiguous_format  # a tensor inside of vmap does not tell
    if x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def arithmetic(dtype: torch.dtype) -> torch.dtype:
    """Dtype to compute in: fp32 for bf16 and fp16, else the dtype itself."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def autocasts(x: Tensor) -> bool:
    """Whether autocast is on for x's device; PyTorch refuses the question for tensors without data."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Keeps autocast from narrowing the stock ops inside a kernel, whose dtype the op has already settled."""
    if autocasts(x):
        return torch.autocast(x.device.type, enabled=False)
    return nullcontext()
