"""EfficientNet-Lite0 as a frozen feature extractor (Tan & Le 2019, arXiv 1905.11946; the "Lite" variant of 2020).

Lite means ReLU6 in the place of SiLU, and no squeeze-and-excitation. BatchNorm is folded into the convolutions, so the
network is the same in `train` and in `eval`.
"""

from __future__ import annotations

import torch
from torch import nn

from smoothswap.modules.frozen.frozen_conv2d import FrozenConv2d

STEM = 32
# Of each stage: expansion of the channels inside a block, kernel size, stride of the first block, channels, blocks.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# The stages whose outputs are features; their strides and channels, and their root mean square on photographs, rounded.
TAPS = (1, 2, 4, 6)
STRIDES = (4, 8, 16, 32)
CHANNELS = (24, 40, 112, 320)
RMS = (10.0, 9.0, 8.0, 4.0)


class InvertedBottleneck(nn.Module):
    """1x1 to more channels, ReLU6, 3x3 or 5x5 for each channel, ReLU6, 1x1; plus the input where the shape stays.

    [B, in, H, W] -> [B, out, ⌈H/s⌉, ⌈W/s⌉].
    """

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int, size: int, stride: int) -> None:
        super().__init__()
        inside = in_channels * expansion
        self.expand = FrozenConv2d(in_channels, inside, 1, relu6=True) if expansion > 1 else None
        self.depthwise = FrozenConv2d(inside, inside, size, stride=stride, groups=inside, relu6=True)
        self.project = FrozenConv2d(inside, out_channels, 1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        inside = x if self.expand is None else self.expand(x)
        h: torch.Tensor = self.project(self.depthwise(inside))
        return h + x if self.residual else h


class EfficientNetLite0(nn.Module):
    """Images [B, 3, H, W] in [-1, 1] -> features at 4, 8, 16 and 32 pixels, each of about unit root mean square.

    The weights are zero until `convert_efficientnet_lite.load_shipped` or `random_` fills them.

    Args:
        scales: how many features, 1 to 4; stages behind the last one are not built.
    """

    def __init__(self, scales: int) -> None:
        super().__init__()
        self.channels = CHANNELS[:scales]
        self.divisors = (1.0,) * scales
        self.stem = FrozenConv2d(3, STEM, 3, stride=2, relu6=True)
        self.stages = nn.ModuleList()
        channels = STEM
        for expansion, size, stride, width, blocks in STAGES[: TAPS[scales - 1] + 1]:
            stage = []
            for index in range(blocks):
                block_stride = 1 if index else stride
                stage.append(InvertedBottleneck(channels, width, expansion=expansion, size=size, stride=block_stride))
                channels = width
            self.stages.append(nn.Sequential(*stage))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Compute the features.

        Args:
            images: [B, 3, H, W], RGB in [-1, 1].

        Returns:
            [B, 24, ⌈H/4⌉, ⌈W/4⌉], [B, 40, ⌈H/8⌉, ⌈W/8⌉], [B, 112, ⌈H/16⌉, …] and [B, 320, ⌈H/32⌉, …], or the first of
            these; each divided by its `divisors`.
        """
        # The weights were trained on (grey level - 127) / 128, not with ImageNet's means and deviations.
        h = self.stem((images * 127.5 + 0.5) / 128)
        features: list[torch.Tensor] = []
        for index, stage in enumerate(self.stages):
            h = stage(h)
            if index in TAPS:
                features.append(h / self.divisors[len(features)])
        return features

    def random_(self, generator: torch.Generator) -> None:
        """Fill the weights with random ones that keep the mean square; biases become zero."""
        self.divisors = (1.0,) * len(self.channels)
        for layer in self.modules():
            if isinstance(layer, FrozenConv2d):
                layer.random_(generator)
