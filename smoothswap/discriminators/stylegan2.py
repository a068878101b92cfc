"""StyleGAN2's discriminator, residual form without labels (Karras et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError
from smoothswap.modules.equal_lr import EqualConv2d, EqualLinear
from smoothswap.modules.minibatch_stddev import MinibatchStddev
from smoothswap.modules.shapes import check_images

SMALLEST = 4
RESCALE = math.sqrt(0.5)
KERNEL = (1.0, 3.0, 3.0, 1.0)


class Block(nn.Module):
    """3x3, blur and 3x3 of stride 2; plus the blurred 1x1 of the input; divided by √2.

    [B, in, H, W] -> [B, out, H/2, W/2].
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[float, ...], clamp: float | None) -> None:
        super().__init__()
        self.conv = EqualConv2d(in_channels, in_channels, 3, activation="lrelu", clamp=clamp)
        self.shrink = EqualConv2d(
            in_channels, out_channels, 3, down=True, kernel=kernel, activation="lrelu", clamp=clamp
        )
        self.shortcut = EqualConv2d(in_channels, out_channels, 1, bias=False, down=True, kernel=kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve x [B, in, H, W]."""
        return self.shortcut(x, gain=RESCALE) + self.shrink(self.conv(x), gain=RESCALE)  # type: ignore[no-any-return]


class Epilogue(nn.Module):
    """Minibatch deviation, 3x3, Linear, Linear: [B, C, 4, 4] -> [B, 1]."""

    def __init__(self, channels: int, stddev: MinibatchStddev, clamp: float | None) -> None:
        super().__init__()
        self.stddev = stddev
        self.conv = EqualConv2d(channels + stddev.features, channels, 3, activation="lrelu", clamp=clamp)
        self.linear = EqualLinear(channels * SMALLEST**2, channels, activation="lrelu")
        self.out = EqualLinear(channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Judge the features x [B, C, 4, 4]."""
        return self.out(self.linear(self.conv(self.stddev(x)).flatten(1)))  # type: ignore[no-any-return]


class StyleGAN2Discriminator(nn.Module):
    """Tells generated pictures from real ones.

    Every operation has a second derivative, so that the R1 penalty trains it.

    Attributes:
        image_size: side S of the images in pixels.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `stylegan2`; the defaults have 28.86 M parameters."""

        image_size: int = option(256, "side S of the images, pixels; a power of two", at_least=2 * SMALLEST)
        channel_base: int = option(32768, "channels of a size are channel_base / size …", at_least=1)
        channel_max: int = option(512, "… but at most this many", at_least=1)
        fir_kernel: tuple[float, ...] = option(KERNEL, "taps of the blur, normalised here")
        stddev_group: int = option(4, "images that the minibatch deviation compares", at_least=1)
        stddev_features: int = option(1, "channels of the minibatch deviation; 0 leaves it out", at_least=0)
        conv_clamp: float | None = option(None, "largest magnitude of activations, for half precision (256)", above=0.0)

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.image_size & (self.image_size - 1):
                raise ConfigError(
                    f"image_size={self.image_size} is not a power of two",
                    f"the images are halved until they have {SMALLEST} px",
                )
            if self.channel_base < self.image_size:
                raise ConfigError(
                    f"channel_base={self.channel_base} leaves no channel at {self.image_size} px",
                    hint=f"Choose channel_base of at least {self.image_size}.",
                )
            if len(self.fir_kernel) < 2 or sum(self.fir_kernel) <= 0:
                raise ConfigError(
                    f"fir_kernel={self.fir_kernel} is no resampling filter",
                    "it needs two taps or more, whose sum is positive",
                )
            if self.stddev_features and self.channels(SMALLEST) % self.stddev_features:
                raise ConfigError(
                    f"stddev_features={self.stddev_features} does not divide the channels at {SMALLEST} px",
                    f"channels at {SMALLEST} px: {self.channels(SMALLEST)}",
                )

        def channels(self, size: int) -> int:
            """Channels of the feature maps with `size` x `size` pixels."""
            return min(self.channel_base // size, self.channel_max)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_size = config.image_size
        sizes = [config.image_size >> i for i in range((config.image_size // SMALLEST).bit_length() - 1)]
        self.from_rgb = EqualConv2d(
            3, config.channels(config.image_size), 1, activation="lrelu", clamp=config.conv_clamp
        )
        self.blocks = nn.ModuleList(
            Block(config.channels(size), config.channels(size // 2), config.fir_kernel, config.conv_clamp)
            for size in sizes
        )
        stddev = MinibatchStddev(config.stddev_group, config.stddev_features)
        self.epilogue = Epilogue(config.channels(SMALLEST), stddev, config.conv_clamp)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Judge images.

        Args:
            images: [B, 3, S, S], RGB in [-1, 1].

        Returns:
            logits [B, 1], positive for real.

        Raises:
            ArgumentError: another shape, or integers.
        """
        check_images(images, self.image_size)
        h = self.from_rgb(images)
        for block in self.blocks:
            h = block(h)
        return self.epilogue(h)  # type: ignore[no-any-return]
