"""StyleGAN's module `upfirdn2d`; `impl` is the last argument of each function."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smoothswap.ops import filters
from smoothswap.ops import upfirdn2d as _upfirdn2d
from smoothswap.ops.filters import setup_filter
from smoothswap.ops.stylegan.impl import chosen

__all__ = ["downsample2d", "filter2d", "setup_filter", "upfirdn2d", "upsample2d"]

Factor = int | Sequence[int]


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: Factor = 1,
    down: Factor = 1,
    padding: Factor = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """`smoothswap.ops.upfirdn2d`; x [B, C, H, W], f [K] or [Kh, Kw]."""
    with chosen("upfirdn2d", impl):
        return _upfirdn2d(x, f, up, down, padding, flip_filter, gain)


def filter2d(
    x: Tensor, f: Tensor | None, padding: Factor = 0, flip_filter: bool = False, gain: float = 1, impl: str = "cuda"
) -> Tensor:
    """`smoothswap.ops.filter2d`; x [B, C, H, W]."""
    with chosen("filter2d", impl):
        return filters.filter2d(x, f, padding, flip_filter, gain)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: Factor = 2,
    padding: Factor = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """`smoothswap.ops.upsample2d`; x [B, C, H, W]."""
    with chosen("upsample2d", impl):
        return filters.upsample2d(x, f, up, padding, flip_filter, gain)


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: Factor = 2,
    padding: Factor = 0,
    flip_filter: bool = False,
    gain: float = 1,
    impl: str = "cuda",
) -> Tensor:
    """`smoothswap.ops.downsample2d`; x [B, C, H, W]."""
    with chosen("downsample2d", impl):
        return filters.downsample2d(x, f, down, padding, flip_filter, gain)
