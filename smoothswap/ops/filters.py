"""FIR filters and the three common resamplings: filter, upsample and downsample, keeping the image in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import checks
from smoothswap.ops.upfirdn2d import filter_size, upfirdn2d


def setup_filter(
    f: Any,
    device: torch.device | str = "cpu",
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Makes the filter tensor that the resampling functions take.

    Args:
        f: taps: a number, a list, an array or a tensor, [K] or [Kh, Kw]; None is the identity.
        device: where the filter shall live.
        normalize: divide by the sum of the taps, so that a constant image stays as it is.
        flip_filter: mirror the filter.
        gain: factor that the filter has on an image.
        separable: keep a 1-D filter 1-D, applied along both axes; None: from eight taps on. Otherwise it becomes the
            outer product [K, K].

    Returns:
        fp32 filter, [K] or [Kh, Kw].

    Raises:
        ArgumentError: no taps, more than two dimensions, taps or a gain that are not finite, taps that sum to zero
            with `normalize`, or a negative gain of a separable filter. Under torch.compile taps are not looked at.
    """
    # The taps are read here, so they are on the CPU first, whatever device is the default.
    taps = torch.as_tensor(1 if f is None else f, dtype=torch.float32, device="cpu")
    if taps.ndim > 2 or taps.numel() == 0:
        raise ArgumentError(f"setup_filter: f has shape {list(taps.shape)}, expected at least one tap, [K] or [Kh, Kw]")
    gain = checks.number("setup_filter", "gain", gain)
    readable = checks.values_readable()
    if readable and not bool(torch.isfinite(taps).all()):
        raise ArgumentError("setup_filter: f has taps that are not finite")
    taps = taps.reshape(1) if taps.ndim == 0 else taps
    if separable is None:
        separable = taps.ndim == 1 and taps.numel() >= 8
    if taps.ndim == 1 and not separable:
        taps = torch.outer(taps, taps)
    if separable and taps.ndim != 1:
        raise ArgumentError(f"setup_filter: f has shape {list(taps.shape)}, expected [K] with separable=True")
    if normalize:
        total = taps.sum()
        if readable and float(total) == 0:
            raise ArgumentError(
                "setup_filter: the taps sum to zero and cannot be normalised", hint="Pass normalize=False."
            )
        taps = taps / total
    if flip_filter:
        taps = taps.flip(list(range(taps.ndim)))
    if taps.ndim == 1 and gain < 0:
        raise ArgumentError(
            f"setup_filter: gain is {gain}, but a separable filter is applied twice: expected at least 0"
        )
    taps = taps * float(gain ** (taps.ndim / 2))
    return taps.to(device)


def filter2d(
    x: Tensor,
    f: Tensor | None,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Filters x [B, C, H, W] with f; with padding 0 the result has x's size.

    Args and errors as in `upfirdn2d`; `padding` is on top of what keeps the size.
    """
    left, right, top, bottom = checks.padding4("filter2d", padding)
    taps_h, taps_w = filter_size(f)
    pads = (left + taps_w // 2, right + (taps_w - 1) // 2, top + taps_h // 2, bottom + (taps_h - 1) // 2)
    return upfirdn2d(x, f, padding=pads, flip_filter=flip_filter, gain=gain)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Enlarges x [B, C, H, W] to [B, C, H·up, W·up] with padding 0; brightness is kept (the gain gets a factor up²).

    Args and errors as in `upfirdn2d`; `padding` counts pixels of the result.
    """
    up_x, up_y = checks.pair("upsample2d", "up", up)
    gain = checks.number("upsample2d", "gain", gain)
    left, right, top, bottom = checks.padding4("upsample2d", padding)
    taps_h, taps_w = filter_size(f)
    pads = (
        left + (taps_w + up_x - 1) // 2,
        right + (taps_w - up_x) // 2,
        top + (taps_h + up_y - 1) // 2,
        bottom + (taps_h - up_y) // 2,
    )
    return upfirdn2d(x, f, up=(up_x, up_y), padding=pads, flip_filter=flip_filter, gain=gain * up_x * up_y)


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Shrinks x [B, C, H, W] to [B, C, H/down, W/down] with padding 0.

    Args and errors as in `upfirdn2d`; `padding` counts pixels of x.
    """
    down_x, down_y = checks.pair("downsample2d", "down", down)
    left, right, top, bottom = checks.padding4("downsample2d", padding)
    taps_h, taps_w = filter_size(f)
    pads = (
        left + (taps_w - down_x + 1) // 2,
        right + (taps_w - down_x) // 2,
        top + (taps_h - down_y + 1) // 2,
        bottom + (taps_h - down_y) // 2,
    )
    return upfirdn2d(x, f, down=(down_x, down_y), padding=pads, flip_filter=flip_filter, gain=gain)
