"""upfirdn2d in CUDA C++ (csrc/cuda): fast for four separable taps with up 2, down 2 or neither."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.ops import backend, native_cuda
from smoothswap.ops.host_taps import Values, factors, host_taps
from smoothswap.ops.layout import arithmetic, memory_format
from smoothswap.ops.upfirdn2d import filter_size, output_size


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
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
    if y.numel() == 0:
        return y
    if x.numel() == 0:
        return y.zero_()
    taps: Sequence[float] = ()
    if f is not None and x.dtype != torch.float64 and filter_size(f) == (4, 4) and max(*up, *down) <= 2:
        known = host_taps(f)
        taps = () if known is None else _eight(known, flip_filter, gain)
    work = arithmetic(x.dtype)
    f = x.new_ones([1, 1], dtype=work) if f is None else f.to(work).contiguous()
    native_cuda.ops().upfirdn2d(
        x.contiguous(memory_format=layout),
        y,
        f,
        taps,
        up,
        down,
        padding,
        flip_filter,
        gain,
        layout == torch.channels_last,
    )
    return y


@functools.lru_cache(maxsize=256)
def _eight(taps: Values, flip_filter: bool, gain: float) -> Sequence[float]:
    """Factors of a filter [4, 4] or [4], those along the height first, in the order of correlation, with the gain."""
    both = (taps[0], taps[0]) if len(taps) == 1 else factors(taps, 1e-7)
    if both is None:
        return ()
    h, w = both if flip_filter else (both[0][::-1], both[1][::-1])
    return [*(v * gain for v in h), *w]


backend.attach("upfirdn2d", "cuda", run, lambda *tensors: native_cuda.device_objection(*tensors))
