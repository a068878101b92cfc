"""upfirdn2d in C++ on the CPU (csrc/cpu/upfirdn2d_kernel.cpp): any filter, factors, padding, dtype and layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import memory_format
from smoothswap.ops.upfirdn2d import output_size


def run(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    """The op's arguments; x [B, C, H, W]."""
    layout = memory_format(x)
    size = [*x.shape[:2], *output_size(x, f, up, down, padding)]
    y = torch.empty(size, dtype=x.dtype, memory_format=layout)
    if y.numel() == 0:
        return y
    taps = x.new_ones([1, 1], dtype=torch.float64) if f is None else f.to(torch.float64).contiguous()
    channels_last = layout == torch.channels_last
    torch.ops.smoothswap_native.upfirdn2d(
        x.contiguous(memory_format=layout), y, taps, up, down, padding, flip_filter, gain, channels_last
    )
    return y


backend.attach("upfirdn2d", "cpu", run)
