"""Smooth-Swap's identity embedder: ResNet-50 and a two-layer head (Kim et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.core.interfaces import FaceInput
from smoothswap.embedders.resnet50_trunk import FEATURES, REDUCTION, ResNet50Trunk
from smoothswap.modules.identity_head import IdentityHead
from smoothswap.modules.shapes import check_images


class SmoothResNet50(nn.Module):
    """Faces [B, 3, S, S] -> unit vectors [B, D].

    ResNet-50 trunk, then 2048 → Linear 1024 → BatchNorm → LeakyReLU → Linear 512 → BatchNorm → unit length.

    Attributes:
        expects: the crop that `forward` takes: FFHQ, RGB in [-1, 1].
        dim: D.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `smooth_resnet50`; the defaults have 26.1 M parameters."""

        input_size: int = option(256, "side S of the images, pixels", at_least=REDUCTION)
        dim: int = option(512, "length D of the vectors", at_least=2)
        head: Literal["mlp", "linear", "plain"] = option("mlp", "Linear-BN-LeakyReLU-Linear-BN, Linear-BN, or Linear")
        hidden: int = option(1024, "with head=mlp: width of the hidden layer", at_least=1)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = config.dim
        self.expects = FaceInput("ffhq", config.input_size)
        self.trunk = ResNet50Trunk()
        self.head = IdentityHead(FEATURES, config.dim, config.head, config.hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, S, S], RGB in [-1, 1], FFHQ crop.

        Returns:
            unit vectors [B, D].

        Raises:
            ArgumentError: another shape, integers, or a single image while training (BatchNorm).
        """
        check_images(images, self.config.input_size)
        self.head.check_batch(images.shape[0])
        return self.head(self.trunk(images))  # type: ignore[no-any-return]
