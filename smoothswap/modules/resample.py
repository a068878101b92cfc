"""Resampling by two, with an anti-aliasing FIR filter or with nearest neighbours and box averages.

Letters: B batch, C channels, H and W height and width. A `kernel` is the 1-D filter, such as (1, 3, 3, 1), whose
outer product with itself is applied and which is normalised here; an empty kernel means no filter. Positions and
padding are those of NCSN++ (score_sde), which are StyleGAN2's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.modules.initialisation import variance_scaling_
from smoothswap.ops import downsample2d, setup_filter, upfirdn2d, upsample2d


class FirFilter(nn.Module):
    """Holds a normalised FIR filter, outside the state dict because the options already say what it is."""

    kernel: torch.Tensor

    def __init__(self, kernel: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.filtered = bool(kernel)
        self.taps = len(kernel)
        taps = setup_filter(kernel or (1.0,), torch.get_default_device())  # as nn.Parameters are
        self.register_buffer("kernel", taps, persistent=False)


class Upsample(FirFilter):
    """[B, C, H, W] -> [B, C, 2H, 2W]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upsample x [B, C, H, W] by two."""
        if self.filtered:
            return upsample2d(x, self.kernel)
        return F.interpolate(x, scale_factor=2, mode="nearest")


class Downsample(FirFilter):
    """[B, C, H, W] -> [B, C, H/2, W/2]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Downsample x [B, C, H, W] by two."""
        if self.filtered:
            return downsample2d(x, self.kernel)
        return F.avg_pool2d(x, 2)


class _ResampleConvolution(FirFilter):
    """Weights of a 3x3 convolution and the filter that it is joined with."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[float, ...] = ()) -> None:
        super().__init__(kernel)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        variance_scaling_(self.weight)


class UpsampleConvolution(_ResampleConvolution):
    """[B, in, H, W] -> [B, out, 2H, 2W].

    Zeros in between, 3x3 convolution, FIR filter; without a filter: nearest neighbours, 3x3 convolution.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upsample x [B, in, H, W] by two and convolve."""
        if not self.filtered:
            return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), self.weight, self.bias, padding=1)
        # A transposed convolution convolves, where conv2d correlates: hence the flip.
        h = F.conv_transpose2d(x, self.weight.transpose(0, 1).flip(2, 3), stride=2)
        # Of the 2H + 1 columns, the filter's delay and the convolution's border leave 2H.
        pad = self.taps - 4
        h = upfirdn2d(h, self.kernel, padding=[(pad + 1) // 2 + 1, pad // 2 + 1] * 2, gain=4)
        return h + self.bias.to(h.dtype)[:, None, None]


class DownsampleConvolution(_ResampleConvolution):
    """[B, in, H, W] -> [B, out, H/2, W/2]: FIR filter, then a 3x3 convolution of stride 2; or the convolution alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter x [B, in, H, W] and convolve with stride two."""
        if self.filtered:
            pad = self.taps
            x = upfirdn2d(x, self.kernel, padding=[(pad + 1) // 2, pad // 2] * 2)
        else:
            x = F.pad(x, (0, 1, 0, 1))
        return F.conv2d(x, self.weight, self.bias, stride=2)
