"""upfirdn2d in Triton (upfirdn2d_triton_kernels): any filter, factors, padding, dtype and layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import arithmetic, memory_format
from smoothswap.ops.triton_runtime import device_objection, far, interpreted, on_device, power_of_two, widened
from smoothswap.ops.upfirdn2d import filter_size, output_size

_ROWS = 8  # of a strip: more read fewer rows twice, fewer keep the unrolled kernel short and small images parallel
_LONG = 8  # taps of a separable filter from which two passes cost less than the outer product


@widened
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
    if f is not None and f.ndim == 1 and f.shape[0] > _LONG:
        left, right, top, bottom = padding
        wide = arithmetic(x.dtype)
        x_pass = _pass(x, f[None, :], (up[0], 1), (down[0], 1), (left, right, 0, 0), flip_filter, gain, wide)
        return _pass(x_pass, f[:, None], (1, up[1]), (1, down[1]), (0, 0, top, bottom), flip_filter, 1.0, x.dtype)
    return _pass(x, f, up, down, padding, flip_filter, gain, x.dtype)


def _pass(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
    dtype: torch.dtype,
) -> Tensor:
    """One kernel: x [B, C, H, W] to [B, C, H', W'] in `dtype`."""
    layout = memory_format(x)
    size = [*x.shape[:2], *output_size(x, f, up, down, padding)]
    y = torch.empty(size, dtype=dtype, device=x.device, memory_format=layout)
    if y.numel() == 0:
        return y
    if x.numel() == 0:
        return y.zero_()
    taps = x if f is None else f
    options = {
        "SEPARABLE": taps.ndim == 1,
        "MIRROR": not flip_filter,
        "WIDE": far(x, y),
        "NHWC": layout == torch.channels_last,
    }
    factors = (up[0], up[1], down[0], down[1])
    fast = f is not None and filter_size(f) == (4, 4) and factors in _FAST
    with on_device(x):
        if fast:
            _strips(x, taps, y, padding, gain, factors, options)
        else:
            _gather(x, taps, y, up, down, padding, gain, filter_size(f), f is not None, options)
    return y


_FAST = {(1, 1, 1, 1): "filter4_kernel", (1, 1, 2, 2): "down4_kernel", (2, 2, 1, 1): "up4_kernel"}


def _planes(x: Tensor, y: Tensor) -> tuple[int, int, tuple[int, ...]]:
    """Samples, channels and strides; the planes of contiguous NCHW tensors count as the channels of one sample."""
    if all(t.stride(0) == t.shape[1] * t.stride(1) for t in (x, y)) and not _is_nhwc(y):
        return 1, x.shape[0] * x.shape[1], (*x.stride(), *y.stride())
    return x.shape[0], x.shape[1], (*x.stride(), *y.stride())


def _is_nhwc(y: Tensor) -> bool:
    return memory_format(y) == torch.channels_last


def _taps_strides(f: Tensor) -> tuple[int, int]:
    return (0, f.stride(0)) if f.ndim == 1 else (f.stride(0), f.stride(1))


def _blocks(y: Tensor, width: int, channels: int, elements: int) -> tuple[int, int]:
    """Columns and channels of a tile: 16 bytes a thread along channels in NHWC; `elements`, along columns, in NCHW."""
    if _is_nhwc(y):
        elements = 2048 // max(y.element_size(), 2)  # of 128 threads
        inner = min(power_of_two(channels), 64)
        return min(power_of_two(width), elements // inner), inner
    columns = min(power_of_two(width), elements)
    return columns, min(elements // columns, power_of_two(channels))


def _strips(
    x: Tensor,
    f: Tensor,
    y: Tensor,
    padding: Sequence[int],
    gain: float,
    factors: tuple[int, int, int, int],
    options: dict[str, bool],
) -> None:
    """The 4 × 4 kernels."""
    from smoothswap.ops import upfirdn2d_triton_kernels as kernels

    samples, channels, strides = _planes(x, y)
    height, width = y.shape[2:]
    left, top = padding[0], padding[2]
    extra: dict[str, bool | int] = dict(options)
    if factors[0] == 2:  # in pairs of rows and columns
        height, width = height // 2 + 1, -(-width // 2)
        even = all(stride % 2 == 0 for stride in y.stride()[:3]) and y.data_ptr() % (2 * y.element_size()) == 0
        extra |= {"ODD_X": left % 2, "ODD_Y": top % 2, "EVEN_ROWS": even}
        left, top = left // 2, top // 2
    columns, block = _blocks(y, width, channels, 256 if factors[0] == 2 else 512)
    tiles = -(-width // columns), -(-channels // block)
    rows = min(4 if interpreted() else _ROWS, power_of_two(height))
    strips = -(-height // rows)
    getattr(kernels, _FAST[factors])[(samples * tiles[1] * strips * tiles[0],)](
        *(x, f, y, gain, channels, *x.shape[2:], *y.shape[2:], left, top, strips, *tiles),
        *(*strides, *_taps_strides(f), 0),
        **extra,
        ROWS=rows,
        BX=columns,
        BC=block,
    )


def _gather(
    x: Tensor,
    f: Tensor,
    y: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    gain: float,
    taps: tuple[int, int],
    has_filter: bool,
    options: dict[str, bool],
) -> None:
    """The general kernel."""
    from smoothswap.ops import upfirdn2d_triton_kernels as kernels

    samples, channels, strides = _planes(x, y)
    pixels = y.shape[2] * y.shape[3]
    block_p, block_c = _blocks(y, pixels, channels, 512)
    tiles = -(-pixels // block_p), -(-channels // block_c)
    left, top = padding[0], padding[2]
    kernels.gather_kernel[(samples * tiles[0] * tiles[1],)](
        *(x, f, y, gain, channels, *x.shape[2:], y.shape[3], pixels, left, top),
        *(max(-(-left // up[0]), 0), max(-(-top // up[1]), 0), *taps, *tiles),
        *(*strides, *(_taps_strides(f) if has_filter else (0, 0))),
        UP_X=up[0],
        UP_Y=up[1],
        DOWN_X=down[0],
        DOWN_Y=down[1],
        TAPS_X=-(-taps[1] // up[0]),
        TAPS_Y=-(-taps[0] // up[1]),
        FILTER=has_filter,
        SEPARABLE=has_filter and options["SEPARABLE"],
        MIRROR=options["MIRROR"],
        WIDE=options["WIDE"],
        BP=block_p,
        BC=block_c,
    )


def _objection(*tensors: Tensor | None) -> str | None:
    return device_objection(*tensors)


backend.attach("upfirdn2d", "triton", run, _objection)
