"""Smooth-Swap's generator: NCSN++ with the identity in the place of the time (Kim et al. 2022, Song et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.generators.unet_levels import (
    DownLevel,
    ToImage,
    UpLevel,
    attention_block,
    residual_block,
)
from smoothswap.generators.unet_options import UnetOptions
from smoothswap.generators.unet_scene import Scene
from smoothswap.modules.initialisation import conv3x3, linear
from smoothswap.modules.luma import luma
from smoothswap.modules.shapes import check_images, check_vectors

MASK_BIAS = -3.0
"""Added to the mask of `output="blend"` before the sigmoid, so that training starts near the target."""
MASK_FLOOR = 0.05
"""The mask is nowhere less. What is drawn at first is worse than the target, so a mask that may close does, and what it
hides learns nothing. In a background that is drawn to within 0.1 the floor costs 0.005, or 52 dB."""


def fold(image: torch.Tensor, patch: int) -> torch.Tensor:
    """Patches into channels: [B, C, S, S] -> [B, C · patch², S / patch, S / patch], in the image's memory order."""
    if patch == 1:
        return image
    channels_last = image.is_contiguous(memory_format=torch.channels_last)
    if not len(image):  # pixel_unshuffle gives an empty batch back as it is
        return image.reshape(0, image.shape[1] * patch**2, image.shape[2] // patch, image.shape[3] // patch)
    folded = F.pixel_unshuffle(image, patch)
    return folded.contiguous(memory_format=torch.channels_last) if channels_last else folded


def unfold(image: torch.Tensor, patch: int) -> torch.Tensor:
    """The inverse of `fold`: [B, C · patch², S, S] -> [B, C, S · patch, S · patch]."""
    if patch == 1:
        return image
    if not len(image):  # the gradient of pixel_shuffle is pixel_unshuffle
        return image.reshape(0, image.shape[1] // patch**2, image.shape[2] * patch, image.shape[3] * patch)
    return F.pixel_shuffle(image, patch)


def smooth_chroma(change: torch.Tensor, patch: int) -> torch.Tensor:
    """A change of colour without fringes: its brightness as it is, the rest averaged over squares and interpolated.

    Eyes see colour coarsely, as JPEG knows; what a network draws wrongly along hair and cheeks is mostly colour.

    Args:
        change: [B, 3, S, S], RGB; S is a multiple of `patch`.
        patch: side of the squares, pixels; 1 leaves the change as it is.
    """
    if patch == 1:
        return change
    brightness = luma(change)
    coarse = F.avg_pool2d(change - brightness, patch)
    return brightness + F.interpolate(coarse, scale_factor=patch, mode="bicubic", align_corners=False)


class Middle(nn.Module):
    """Residual block, self-attention, residual block at the smallest size."""

    def __init__(self, options: UnetOptions, channels: int) -> None:
        super().__init__()
        self.before = residual_block(options, channels, channels)
        self.attention = attention_block(options, channels)
        self.after = residual_block(options, channels, channels)

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Process h [B, C, H, W] under the embedding [B, E]; same shape out."""
        return self.after(self.attention(self.before(h, embedding)), embedding)  # type: ignore[no-any-return]


class SmoothUnet(nn.Module):
    """Puts an identity onto a target face: target + U-Net(target, identity).

    The last convolutions start near zero, so that an untrained generator returns the target. With `output="blend"` the
    U-Net draws an image and a mask instead, target + m · (image − target), m = 0.05 + 0.95 · σ(mask − 3): nothing of
    the target has to be drawn away where m is 1. An untrained generator then pales the target by a tenth.

    Attributes:
        image_size: side S of the images in pixels.
        identity_dim: length D of the identity vectors.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(UnetOptions):
        """Options of `smooth_unet`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_size = config.image_size
        self.identity_dim = config.identity_dim
        self.identity_gain = math.sqrt(config.identity_dim) if config.identity_scale == "unit_variance" else 1.0
        dims = [config.identity_dim] + [config.embedding_dim] * config.identity_mlp_layers
        self.identity_mlp = nn.ModuleList(linear(dims[i], dims[i + 1]) for i in range(len(dims) - 1))

        channels, pyramid_channels = config.base_channels, config.image_channels
        self.stem = conv3x3(config.image_channels, channels)
        skips = [channels]
        self.down = nn.ModuleList()
        for index in range(len(config.widths)):
            down = DownLevel(config, index, channels, pyramid_channels)
            skips += down.skip_channels
            channels, pyramid_channels = skips[-1], down.pyramid_channels
            self.down.append(down)

        self.scene = Scene(config, channels) if config.scene_dim else None
        self.middle = Middle(config, channels)

        pyramid_channels = 0
        self.up = nn.ModuleList()  # from the smallest size to the full one
        for index in reversed(range(len(config.widths))):
            taken = [skips.pop() for _ in range(config.blocks_per_level + 1)]
            up = UpLevel(config, index, channels, taken, pyramid_channels)
            channels, pyramid_channels = config.widths[index], up.pyramid_channels
            self.up.append(up)
        self.head = (
            None
            if config.progressive == "output_skip"
            else ToImage(channels, config.output_channels, scale=config.init_scale)
        )

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """Swap the face.

        Args:
            target: [B, 3, S, S], RGB in [-1, 1], cropped as `config.face_crop` says.
            identity: [B, D], unit vectors.

        Returns:
            [B, 3, S, S], around [-1, 1] without being bound to it.

        Raises:
            ArgumentError: another shape, or integers.
        """
        check_images(target, self.image_size, "target", 3)
        check_vectors(identity, self.identity_dim, target.shape[0])
        embedding = self.embed(identity)

        folded = fold(target, self.config.patch)
        h, pyramid = self.stem(folded), folded
        skips = [h]
        for down in self.down:
            h, pyramid = down(h, pyramid, embedding, skips)
        if self.scene is not None:
            h, embedding = self.scene(h, embedding)
        h = self.middle(h, embedding)
        image = None
        for up in self.up:
            h, image = up(h, image, embedding, skips)
        if self.head is not None:
            image = self.head(h)
        drawn = unfold(cast(torch.Tensor, image), self.config.patch)
        if self.config.output == "residual":
            change = drawn
        else:
            mask = MASK_FLOOR + (1 - MASK_FLOOR) * torch.sigmoid(drawn[:, 3:] + MASK_BIAS)
            change = mask * (drawn[:, :3] - target)
        return target + smooth_chroma(change, self.config.chroma_patch)

    def embed(self, identity: torch.Tensor) -> torch.Tensor:
        """Identity vectors [B, D] -> the embedding [B, E] that the injections get."""
        embedding = identity * self.identity_gain
        for i, layer in enumerate(self.identity_mlp):
            embedding = layer(F.silu(embedding) if i else embedding)
        return embedding
