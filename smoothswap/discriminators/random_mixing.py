"""Fixed random mixing of features (Sauer et al. 2021, arXiv 2111.01007, section 3.2).

A head on the plain features could look at a few channels only. A random 1x1 convolution spreads what each channel says
over all of them (cross-channel mixing); adding the coarser scales to the finer ones lets each head see all of the
scales behind its own (cross-scale mixing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.modules.frozen.frozen_conv2d import FrozenConv2d

RESCALE = math.sqrt(0.5)


class RandomMixing(nn.Module):
    """Mixes channels, and from the coarsest scale to the finest also scales. Nothing here is trained or stored.

        channels:  m_i = A_i f_i
        scales:    m_i = (A_i f_i + up(B_i m_{i+1})) / √2, the coarsest as above

    Each A_i and B_i is a random 1x1 convolution that keeps the mean square; `up` is bilinear.

    Args:
        in_channels: channels of the features, the finest first.
        base: channels of the finest scale; each coarser one has twice as many.
        scales: also mix scales.
        generator: where the random numbers come from.

    Attributes:
        channels: channels of the mixed features, the finest first.
    """

    def __init__(self, in_channels: Sequence[int], base: int, *, scales: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.channels = tuple(base << index for index in range(len(in_channels)))
        self.across = nn.ModuleList(
            FrozenConv2d(channels, width, 1) for channels, width in zip(in_channels, self.channels, strict=True)
        )
        pairs = zip(self.channels[1:], self.channels[:-1], strict=True) if scales else ()
        self.down = nn.ModuleList(FrozenConv2d(coarse, fine, 1) for coarse, fine in pairs)
        for layer in (*self.across, *self.down):
            layer.random_(generator)

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Mix features [B, C_i, H_i, W_i], the finest first, to [B, base · 2^i, H_i, W_i]."""
        mixed = [layer(feature) for layer, feature in zip(self.across, features, strict=True)]
        for index in range(len(self.down) - 1, -1, -1):
            # A 1x1 convolution before the enlargement is the same as one behind it, at a quarter of the work.
            coarse = self.down[index](mixed[index + 1])
            coarse = F.interpolate(coarse, size=mixed[index].shape[2:], mode="bilinear", align_corners=False)
            mixed[index] = (mixed[index] + coarse) * RESCALE
        return mixed
