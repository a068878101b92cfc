"""torchvision's ResNet-50 as it is: pooled features of unit length, for losses and metrics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.core.interfaces import FaceInput
from smoothswap.embedders.resnet50_trunk import FEATURES, REDUCTION, ResNet50Trunk
from smoothswap.modules.identity_head import check_batch_norm, unit_vectors
from smoothswap.modules.shapes import check_images

# Of ImageNet's training pictures in [0, 1], by channel R, G, B: what torchvision's weights were trained with.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class TorchvisionResNet50(nn.Module):
    """Faces [B, 3, S, S] -> unit vectors [B, 2048]: the mean over positions before torchvision's classifier.

    Weights trained on ImageNet tell things apart, not people; those of a ResNet-50 in this form that was trained on
    faces tell people apart.

    Attributes:
        expects: the crop that `forward` takes: FFHQ, RGB in [0, 1].
        dim: 2048.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `torchvision_resnet50`; it has 23.5 M parameters."""

        input_size: int = option(224, "side S of the images, pixels", at_least=REDUCTION)
        mean: tuple[float, float, float] = option(MEAN, "taken from R, G, B in [0, 1]")
        deviation: tuple[float, float, float] = option(DEVIATION, "R, G, B are then divided by this", above=0.0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = FEATURES
        self.expects = FaceInput("ffhq", config.input_size, (0.0, 1.0))
        self.trunk = ResNet50Trunk()
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(config.deviation)[:, None, None], persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, S, S], RGB in [0, 1], FFHQ crop.

        Returns:
            unit vectors [B, 2048].

        Raises:
            ArgumentError: another shape, integers, or a single image while training (BatchNorm).
        """
        check_images(images, self.config.input_size)
        check_batch_norm(self, images.shape[0])
        return unit_vectors(self.trunk((images - self.mean) / self.deviation))
