"""FaceRes (Savchenko, "Efficient facial representations…", PeerJ Computer Science 5:e197, 2019): MobileNet for faces.

A MobileNet (Howard et al., arXiv 1704.04861) that learned to tell the people of VGGFace2 apart, and then age and
gender. Only the features that it gives for telling people apart are here. Its family is the one that the embedder of
Smooth-Swap learned from; its weights, which `smoothswap convert faceres` reads, are not part of an installation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import Options
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.depthwise import DepthwiseConv2d
from smoothswap.modules.identity_head import unit_vectors
from smoothswap.modules.shapes import check_images

SIZE = 224
STEM = 32
# Of each pair of layers: channels that it gives, stride of its 3x3.
PAIRS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
DIM = 1024
MEAN_BGR = (103.939, 116.779, 123.68)
"""Grey levels of blue, green and red that are taken off."""


class ConvReLU6(nn.Module):
    """Convolution, bias, ReLU6: [B, in, H, W] -> [B, out, H/s, W/s].

    TensorFlow pads a picture of even side for a stride of two at its right and lower edge alone.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bias = nn.Parameter(torch.zeros(conv.out_channels))
        self.pad = (0, 1, 0, 1) if conv.stride == (2, 2) else (0, 0, 0, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        return F.relu6(self.conv(F.pad(x, self.pad) if any(self.pad) else x) + self.bias[:, None, None])


class FaceRes(nn.Module):
    """Faces [B, 3, 224, 224] -> unit vectors [B, 1024], none of whose components is negative.

    Two strangers have a cosine of about 0.36, two photographs of one person one of 0.66.

    Attributes:
        expects: ArcFace's crop, BGR in [0, 255]. The network was trained on looser and tighter boxes of a detector, and
            hardly minds.
        dim: 1024.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """`faceres` has no options; it has 3.20 M parameters."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = DIM
        self.expects = FaceInput("arcface112", SIZE, (0.0, 255.0), "bgr")
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.tensor(MEAN_BGR, dtype=torch.float32)[:, None, None], persistent=False)
        self.stem = ConvReLU6(nn.Conv2d(3, STEM, 3, stride=2, bias=False))
        pairs: list[nn.Module] = []
        channels = STEM
        for width, stride in PAIRS:
            pairs.append(ConvReLU6(DepthwiseConv2d(channels, 3, stride, padding=0 if stride == 2 else 1)))
            pairs.append(ConvReLU6(nn.Conv2d(channels, width, 1, bias=False)))
            channels = width
        self.layers = nn.Sequential(*pairs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, 224, 224], BGR in [0, 255], ArcFace's crop.

        Returns:
            unit vectors [B, 1024].

        Raises:
            ArgumentError: another shape, or integers.
        """
        check_images(images, SIZE)
        h = self.layers(self.stem(images - self.mean))
        return unit_vectors(h.mean((2, 3), dtype=torch.promote_types(h.dtype, torch.float32)))
