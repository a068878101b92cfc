"""What the device can do at best: the floor under the times of every op."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def test_copy(measure: Callable[..., Tensor], device: torch.device) -> None:
    x = torch.randn(16, 64, 128, 128, device=device)
    y = torch.empty_like(x)
    measure(y.copy_, x, group="ceilings", moved_bytes=2 * x.numel() * x.element_size())
    assert torch.equal(x, y)


def test_matmul_bf16(measure: Callable[..., Tensor], device: torch.device) -> None:
    side = 8192 if device.type == "cuda" else 512
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    assert measure(torch.matmul, a, a, group="ceilings").shape == (side, side)
