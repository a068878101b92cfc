"""Inception-ResNet-v1 (Szegedy et al. 2016) for faces, with the parameter names of facenet-pytorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.identity_head import check_batch_norm, unit_vectors
from smoothswap.modules.shapes import check_images

SIZE = 160
FEATURES = 1792
# (x - 127.5) / 128 of grey levels 0 … 255: one grey level short of [-1, 1].
RANGE = (-127.5 / 128, 127.5 / 128)

Side = int | tuple[int, int]


class ConvNorm(nn.Module):
    """Convolution, BatchNorm, ReLU: [B, in, H, W] -> [B, out, H', W']."""

    def __init__(self, in_channels: int, out_channels: int, size: Side, stride: int = 1, padding: Side = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        return F.relu(self.bn(self.conv(x)))


def chain(channels: int, *layers: tuple[int, Side, int, Side]) -> nn.Module:
    """Layers (width, size, stride, padding) one after another; one alone is not numbered, as in the original."""
    modules = []
    for width, size, stride, padding in layers:
        modules.append(ConvNorm(channels, width, size, stride, padding))
        channels = width
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def same(width: int, size: Side) -> tuple[int, Side, int, Side]:
    """A layer that keeps the size of the map."""
    padding = size // 2 if isinstance(size, int) else (size[0] // 2, size[1] // 2)
    return width, size, 1, padding


def halving(width: int) -> tuple[int, Side, int, Side]:
    """A 3x3 layer of stride 2 without padding: S -> (S - 1) // 2."""
    return width, 3, 2, 0


class Branches(nn.Module):
    """Branches side by side, concatenated; with `pool`, a 3x3 maximum of stride 2 of the input behind them."""

    def __init__(self, *branches: nn.Module, pool: bool = False) -> None:
        super().__init__()
        self.count = len(branches)
        self.pool = pool
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        parts = [self.get_submodule(f"branch{i}")(x) for i in range(self.count)]
        if self.pool:
            parts.append(F.max_pool2d(x, 3, stride=2))
        return torch.cat(parts, dim=1)


class Residual(Branches):
    """x + scale · 1x1(branches), then ReLU unless it is the last: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, width: int, *branches: nn.Module, scale: float, last: bool = False) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(width, channels, 1)
        self.scale, self.last = scale, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, C, H, W]."""
        h = self.conv2d(super().forward(x)) * self.scale + x
        return h if self.last else F.relu(h)


def block35() -> Residual:
    """Block at 17 px: 1x1; 1x1, 3x3; 1x1, 3x3, 3x3."""
    branches = (
        chain(256, same(32, 1)),
        chain(256, same(32, 1), same(32, 3)),
        chain(256, same(32, 1), same(32, 3), same(32, 3)),
    )
    return Residual(256, 96, *branches, scale=0.17)


def block17() -> Residual:
    """Block at 8 px: 1x1; 1x1, 1x7, 7x1."""
    branches = chain(896, same(128, 1)), chain(896, same(128, 1), same(128, (1, 7)), same(128, (7, 1)))
    return Residual(896, 256, *branches, scale=0.10)


def block8(scale: float = 0.20, *, last: bool = False) -> Residual:
    """Block at 3 px: 1x1; 1x1, 1x3, 3x1."""
    branches = chain(1792, same(192, 1)), chain(1792, same(192, 1), same(192, (1, 3)), same(192, (3, 1)))
    return Residual(1792, 384, *branches, scale=scale, last=last)


class InceptionResnetV1(nn.Module):
    """Faces [B, 3, 160, 160] -> unit vectors [B, D], the mean over the last 3 x 3 positions behind a linear layer.

    Attributes:
        expects: the crop that `forward` takes: MTCNN's box, RGB, grey levels as (x - 127.5) / 128.
        dim: D.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `inception_resnet_v1`; the defaults have 23.5 M parameters."""

        dim: int = option(512, "length D of the vectors", at_least=2)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = config.dim
        self.expects = FaceInput("mtcnn_box", SIZE, RANGE)
        self.conv2d_1a = ConvNorm(3, 32, 3, stride=2)
        self.conv2d_2a = ConvNorm(32, 32, 3)
        self.conv2d_2b = ConvNorm(32, 64, 3, padding=1)
        self.conv2d_3b = ConvNorm(64, 80, 1)
        self.conv2d_4a = ConvNorm(80, 192, 3)
        self.conv2d_4b = ConvNorm(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = Branches(
            chain(256, halving(384)), chain(256, same(192, 1), same(192, 3), halving(256)), pool=True
        )
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        self.mixed_7a = Branches(
            chain(896, same(256, 1), halving(384)),
            chain(896, same(256, 1), halving(256)),
            chain(896, same(256, 1), same(256, 3), halving(256)),
            pool=True,
        )
        self.repeat_3 = nn.Sequential(*(block8() for _ in range(5)))
        self.block8 = block8(1.0, last=True)
        self.last_linear = nn.Linear(FEATURES, config.dim, bias=False)
        self.last_bn = nn.BatchNorm1d(config.dim, eps=1e-3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, 160, 160], RGB, grey levels as (x - 127.5) / 128, MTCNN's box.

        Returns:
            unit vectors [B, D].

        Raises:
            ArgumentError: another shape, integers, or a single image while training (BatchNorm).
        """
        check_images(images, SIZE)
        check_batch_norm(self, images.shape[0])
        h = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(images)))
        h = F.max_pool2d(h, 3, stride=2)
        h = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(h)))
        h = self.mixed_6a(self.repeat_1(h))
        h = self.mixed_7a(self.repeat_2(h))
        h = self.block8(self.repeat_3(h))
        return unit_vectors(self.last_bn(self.last_linear(h.mean(dim=(2, 3)))))
