"""insightface's iResNet (Deng et al., "ArcFace", 2019; Duta et al., "Improved Residual Networks", 2020).

The parameters have the names of insightface's `arcface_torch`, so that its state dicts fit as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.identity_head import check_batch_norm, unit_vectors
from smoothswap.modules.prelu import PReLU
from smoothswap.modules.shapes import check_images

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
WIDTHS = (64, 128, 256, 512)
SIZE = 112
LAST_SIDE = SIZE >> len(WIDTHS)


class Block(nn.Module):
    """BN, 3x3, BN, PReLU, 3x3 with the stride, BN; beside x, or BN(1x1(x)): [B, in, H, W] -> [B, out, H/s, W/s]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.prelu = PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]; no activation follows the sum."""
        h = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        h = self.bn3(self.conv2(h))
        return h + (x if self.downsample is None else self.downsample(x))  # type: ignore[no-any-return]


class IResNet(nn.Module):
    """Faces [B, 3, 112, 112] -> unit vectors [B, D].

    A 3x3 convolution at the full size, four stages that each halve it, and a linear layer that reads the last 7 x 7
    positions one by one, between two BatchNorms.

    Attributes:
        expects: the crop that `forward` takes: ArcFace's 112 px template, RGB in [-1, 1].
        dim: D.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `iresnet`; the defaults have 43.6 M parameters."""

        depth: int = option(50, "layers as the name counts them", choices=tuple(BLOCKS))
        dim: int = option(512, "length D of the vectors", at_least=2)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = config.dim
        self.expects = FaceInput("arcface112", SIZE)
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = PReLU(WIDTHS[0])
        channels = WIDTHS[0]
        for number, (width, count) in enumerate(zip(WIDTHS, BLOCKS[config.depth], strict=True), start=1):
            blocks = [Block(channels if i == 0 else width, width, 2 if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            channels = width
        self.bn2 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * LAST_SIDE**2, config.dim)
        self.features = nn.BatchNorm1d(config.dim)
        self.features.weight.requires_grad_(False)  # the scales of the entries stay equal, as where it was trained
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, 112, 112], RGB in [-1, 1], ArcFace's crop.

        Returns:
            unit vectors [B, D].

        Raises:
            ArgumentError: another shape, integers, or a single image while training (BatchNorm).
        """
        check_images(images, SIZE)
        check_batch_norm(self, images.shape[0])
        h = self.prelu(self.bn1(self.conv1(images)))
        for number in range(1, len(WIDTHS) + 1):
            h = self.get_submodule(f"layer{number}")(h)
        return unit_vectors(self.features(self.fc(self.bn2(h).flatten(1))))
