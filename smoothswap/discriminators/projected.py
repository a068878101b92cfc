"""The projected discriminator: small trained heads on the features of a frozen network (Sauer et al. 2021).

"Projected GANs Converge Faster", arXiv 2111.01007. Frozen: EfficientNet-Lite0 and the random mixing behind it. Trained:
one head for each scale. As in the authors' code the mixing across scales is a 1x1 convolution; in the paper it is 3x3.
Other than there, the heads read each scale at its own resolution, have an equalised learning rate instead of spectral
norm and BatchNorm, and their logits are averaged, so that the logistic loss and R1 of this library apply to one logit
an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.discriminators.random_mixing import RandomMixing
from smoothswap.modules.equal_lr import EqualConv2d
from smoothswap.modules.frozen.convert_efficientnet_lite import load_shipped
from smoothswap.modules.frozen.efficientnet_lite0 import STRIDES, EfficientNetLite0
from smoothswap.modules.shapes import check_images

KERNEL = (1.0, 3.0, 3.0, 1.0)
# Heads halve their features until these have at most so many pixels a side.
LAST_SIDE = 4
SMALLEST = STRIDES[-1]


class Head(nn.Module):
    """3x3, halving 3x3s, and a 1x1 that gives one logit a position: [B, in, H, W] -> [B, 1, H', W'].

    Args:
        in_channels: in.
        channels: channels inside.
        side: H = W.
    """

    def __init__(self, in_channels: int, channels: int, side: int) -> None:
        super().__init__()
        layers = [EqualConv2d(in_channels, channels, 3, activation="lrelu")]
        while side > LAST_SIDE:
            layers.append(EqualConv2d(channels, channels, 3, down=True, kernel=KERNEL, activation="lrelu"))
            side = -(-side // 2)
        self.layers = nn.Sequential(*layers)
        self.out = EqualConv2d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Judge each position of the features x [B, in, H, W]."""
        return self.out(self.layers(x))  # type: ignore[no-any-return]


class ProjectedDiscriminator(nn.Module):
    """Tells generated images from real ones by the features of a frozen network.

    The frozen part is neither in `parameters()` nor in the state dict: it follows from the options and from the package
    that carries its weights, which must be installed wherever the discriminator is built. It behaves the same in
    `train` and in `eval`. Every operation has a second derivative, so that the R1 penalty trains the heads. No
    operation mixes the images of a batch.

    Attributes:
        image_size: side S of the images in pixels.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `projected`."""

        image_size: int = option(256, "side S of the images, pixels", at_least=SMALLEST)
        upsample: int = option(1, "enlarge the images that many times (bilinear) before the frozen network", at_least=1)
        scales: int = option(4, "features at 4, 8, 16, 32 pixels: the first so many of these", at_least=1, at_most=4)
        mixing: Literal["none", "channels", "scales"] = option(
            "scales", "fixed random mixing of the features: none, across channels, or across channels and scales"
        )
        mixing_channels: int = option(64, "mixed channels of the finest scale, doubled with each coarser", at_least=1)
        mixing_seed: int = option(0, "of the random mixing", at_least=0)
        head_channels: int = option(64, "channels inside a head", at_least=1)
        pretrained: bool = option(
            True, "frozen weights from ImageNet (extra: frozen-features); else random ones, to compare with"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_size = config.image_size
        generator = torch.Generator().manual_seed(config.mixing_seed)
        self.trunk = EfficientNetLite0(config.scales)
        self.mixing: RandomMixing | None = None
        channels = self.trunk.channels
        if config.mixing != "none":
            self.mixing = RandomMixing(
                channels, config.mixing_channels, scales=config.mixing == "scales", generator=generator
            )
            channels = self.mixing.channels
        if config.pretrained:
            load_shipped(self.trunk)
        else:
            self.trunk.random_(generator)
        side = config.image_size * config.upsample
        self.heads = nn.ModuleList(
            Head(width, config.head_channels, -(-side // stride))
            for width, stride in zip(channels, STRIDES, strict=False)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Judge images.

        Args:
            images: [B, 3, S, S], RGB in [-1, 1].

        Returns:
            logits [B, 1], positive for real: the mean over scales of the mean over positions.

        Raises:
            ArgumentError: another shape, or integers.
        """
        check_images(images, self.image_size)
        if self.config.upsample > 1:
            images = F.interpolate(images, scale_factor=self.config.upsample, mode="bilinear", align_corners=False)
        features = self.trunk(images)
        if self.mixing is not None:
            features = self.mixing(features)
        logits = [head(feature).mean((2, 3)) for head, feature in zip(self.heads, features, strict=True)]
        return torch.stack(logits).mean(0)
