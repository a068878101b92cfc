"""A small residual embedder for 64 px that trains on a CPU and keeps where things are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.identity_head import IdentityHead
from smoothswap.modules.shapes import check_images


def _convolution(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: [B, in, H, W] -> [B, out, H/stride, W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, 3, stride)
        self.conv2 = _convolution(out_channels, out_channels, 3)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            # The mean of every stride x stride pixels: all of them count, and the gradient has no checkerboard.
            shrink = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(shrink, *_convolution(in_channels, out_channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class SmallResNet(nn.Module):
    """Faces [B, 3, S, S] -> unit vectors [B, D].

    Stem, one stage a width, each after the first at half the size, then `flatten`: a 1x1 convolution to few channels
    whose map is read position by position, so that the vector can tell a long chin from a broad one; or `average`:
    the mean over positions, as ResNets do.

    Attributes:
        expects: the crop that `forward` takes: FFHQ, RGB in [-1, 1].
        dim: D.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `small_resnet`; the defaults have 1.3 M parameters."""

        input_size: int = option(64, "side S of the images, pixels", at_least=16)
        dim: int = option(256, "length D of the vectors", at_least=2)
        widths: tuple[int, ...] = option((32, 64, 128, 192), "channels of the stages", at_least=1)
        blocks: tuple[int, ...] = option((1, 1, 1, 1), "residual blocks of the stages", at_least=1)
        stem_stride: int = option(2, "1 keeps the full size for the first stage: slower, finer", choices=(1, 2))
        pool: Literal["flatten", "average"] = option("flatten", "keep the positions, or average over them")
        flat_channels: int = option(48, "with pool=flatten: channels at each position", at_least=1)
        head: Literal["mlp", "linear", "plain"] = option("mlp", "Linear-BN-LeakyReLU-Linear-BN, Linear-BN, or Linear")
        hidden: int = option(384, "with head=mlp: width of the hidden layer", at_least=1)

        def __post_init__(self) -> None:
            super().__post_init__()
            if not self.widths or len(self.widths) != len(self.blocks):
                raise ConfigError(
                    f"widths={self.widths} and blocks={self.blocks} differ in length",
                    hint="Give one width and one number of blocks for each stage.",
                )
            if self.input_size % self.reduction:
                raise ConfigError(
                    f"input_size={self.input_size} cannot be reduced {self.reduction} times",
                    f"stem_stride={self.stem_stride} and {len(self.widths)} stages need a multiple of {self.reduction}",
                )

        @property
        def reduction(self) -> int:
            """Factor between the sides of the image and of the last feature map."""
            return self.stem_stride << (len(self.widths) - 1)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = config.dim
        self.expects = FaceInput("ffhq", config.input_size)
        self.stem = _convolution(3, config.widths[0], 2 * config.stem_stride + 1, config.stem_stride)
        stages: list[nn.Module] = []
        channels = config.widths[0]
        for stage, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for i in range(count):
                stages.append(BasicBlock(channels, width, 2 if stage and i == 0 else 1))
                channels = width
        self.stages = nn.Sequential(*stages)
        self.squeeze: nn.Module | None = None
        if config.pool == "flatten":
            self.squeeze = _convolution(channels, config.flat_channels, 1)
            channels = config.flat_channels * (config.input_size // config.reduction) ** 2
        self.head = IdentityHead(channels, config.dim, config.head, config.hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, S, S], RGB in [-1, 1], FFHQ crop.

        Returns:
            unit vectors [B, D].

        Raises:
            ArgumentError: another shape, integers, or a single image while training (BatchNorm).
        """
        check_images(images, self.config.input_size)
        self.head.check_batch(images.shape[0])
        h = self.stages(F.relu(self.stem(images)))
        h = h.mean(dim=(2, 3)) if self.squeeze is None else self.squeeze(h).flatten(1)
        return self.head(h)  # type: ignore[no-any-return]
