"""The levels of `smooth_unet`: what happens at one size on the way down and on the way up.

Letters: B batch, C channels of a level, H and W its size, E length of the embedding. The pyramids are the second
streams of NCSN++: on the way down the shrunken input, on the way up the output that grows from level to level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from smoothswap.core.catalogue import build
from smoothswap.generators.unet_options import UnetOptions
from smoothswap.modules.attention import AttentionBlock
from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv1x1, conv3x3
from smoothswap.modules.injections.checks import check_contract
from smoothswap.modules.resample import Downsample, DownsampleConvolution, Upsample, UpsampleConvolution
from smoothswap.modules.residual import ResidualBlock, join


def residual_block(
    options: UnetOptions, in_channels: int, out_channels: int, resample: nn.Module | None = None
) -> ResidualBlock:
    """A residual block with the injection that the options name."""
    extra = dict(options.injection_options)
    if options.dropout:
        extra.setdefault("dropout", options.dropout)
    if options.init_scale:
        extra.setdefault("init_scale", options.init_scale)
    injection = build(
        options.injection, "injection", channels=out_channels, embedding_dim=options.embedding_dim, **extra
    )
    check_contract(injection, options.injection, out_channels, options.embedding_dim)
    return ResidualBlock(
        in_channels,
        out_channels,
        injection,
        resample=resample,
        skip_rescale=options.skip_rescale,
        shortcut_scale=1.0 if options.block == "biggan" else 0.1,
        recompute=options.recompute,
    )


def attention_block(options: UnetOptions, channels: int) -> AttentionBlock:
    """A self-attention block with the scales of the options."""
    return AttentionBlock(channels, skip_rescale=options.skip_rescale, init_scale=options.init_scale)


class ToImage(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution: features [B, C, H, W] -> [B, out, H, W]."""

    def __init__(self, channels: int, out_channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.norm = group_norm(channels, act="swish")
        self.conv = conv3x3(channels, out_channels, scale=scale)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Turn h [B, C, H, W] into [B, out, H, W]."""
        return self.conv(self.norm(h))  # type: ignore[no-any-return]


class DownLevel(nn.Module):
    """Residual blocks of one size, then the step to half of it.

    Args:
        options: options of the generator.
        level: 0 for the full size.
        in_channels: channels that arrive.
        pyramid_channels: channels of the input pyramid that arrives.

    Attributes:
        skip_channels: channels of the feature maps that `forward` keeps for the way up, in order.
        pyramid_channels: channels of the input pyramid that leaves.
    """

    def __init__(self, options: UnetOptions, level: int, in_channels: int, pyramid_channels: int) -> None:
        super().__init__()
        width, attends = options.widths[level], options.sizes[level] in options.attention_resolutions
        count = options.blocks_per_level
        self.blocks = nn.ModuleList(
            residual_block(options, in_channels if i == 0 else width, width) for i in range(count)
        )
        self.attentions = nn.ModuleList(attention_block(options, width) for _ in range(count if attends else 0))
        self.skip_channels = [width] * count
        self.pyramid_channels = pyramid_channels
        self.skip_rescale = options.skip_rescale
        self.concatenates = False
        self.shrink: nn.Module | None = None
        self.shrink_pyramid: nn.Module | None = None
        self.from_pyramid: nn.Module | None = None
        if level == len(options.widths) - 1:
            return

        if options.block == "biggan":
            self.shrink = residual_block(options, width, width, Downsample(options.kernel))
        elif options.resample_with_convolution:
            self.shrink = DownsampleConvolution(width, width, options.kernel)
        else:
            self.shrink = Downsample(options.kernel)
        if options.progressive_input == "input_skip":
            self.shrink_pyramid = Downsample(options.kernel)
            self.from_pyramid = conv1x1(pyramid_channels, width)
            self.concatenates = options.progressive_combine == "cat"
        elif options.progressive_input == "residual":
            self.shrink_pyramid = DownsampleConvolution(pyramid_channels, width, options.kernel)
            self.pyramid_channels = width
        self.skip_channels.append(2 * width if self.concatenates else width)

    def forward(
        self, h: torch.Tensor, pyramid: torch.Tensor, embedding: torch.Tensor, skips: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Process h [B, C, H, W] and the pyramid [B, P, H, W]; append to `skips` what the way up needs.

        Returns:
            features and pyramid at half the size (at the last level: at the same size).
        """
        for i, block in enumerate(self.blocks):
            h = block(h, embedding)
            if self.attentions:
                h = self.attentions[i](h)
            skips.append(h)
        if self.shrink is None:
            return h, pyramid

        h = self.shrink(h, embedding) if isinstance(self.shrink, ResidualBlock) else self.shrink(h)
        if self.shrink_pyramid is not None:
            pyramid = self.shrink_pyramid(pyramid)
            if self.from_pyramid is None:
                h = pyramid = join(pyramid, h, self.skip_rescale)
            elif self.concatenates:
                h = torch.cat([self.from_pyramid(pyramid), h], dim=1)
            else:
                h = self.from_pyramid(pyramid) + h
        skips.append(h)
        return h, pyramid


class UpLevel(nn.Module):
    """Residual blocks of one size that take in the kept feature maps, the output pyramid, the step to twice the size.

    Args:
        options: options of the generator.
        level: 0 for the full size.
        in_channels: channels that arrive.
        skip_channels: channels of the kept feature maps in the order in which they are used.
        pyramid_channels: channels of the output pyramid that arrives; 0 where there is none yet.

    Attributes:
        pyramid_channels: channels of the output pyramid that leaves.
    """

    def __init__(
        self,
        options: UnetOptions,
        level: int,
        in_channels: int,
        skip_channels: Sequence[int],
        pyramid_channels: int,
    ) -> None:
        super().__init__()
        width = options.widths[level]
        arriving = [in_channels] + [width] * (len(skip_channels) - 1)
        self.blocks = nn.ModuleList(
            residual_block(options, channels + skip, width)
            for channels, skip in zip(arriving, skip_channels, strict=True)
        )
        attends = options.sizes[level] in options.attention_resolutions
        self.attention = attention_block(options, width) if attends else None
        self.skip_rescale = options.skip_rescale
        self.to_pyramid: nn.Module | None = None
        self.grow_pyramid: nn.Module | None = None
        self.grow: nn.Module | None = None
        self.pyramid_channels = pyramid_channels

        if options.progressive == "output_skip":
            self.to_pyramid = ToImage(width, options.output_channels, scale=options.init_scale)
            self.grow_pyramid = Upsample(options.kernel) if pyramid_channels else None
            self.pyramid_channels = options.output_channels
        elif options.progressive == "residual":
            if pyramid_channels:
                self.grow_pyramid = UpsampleConvolution(pyramid_channels, width, options.kernel)
            else:
                self.to_pyramid = ToImage(width, width)
            self.pyramid_channels = width

        if level > 0:
            if options.block == "biggan":
                self.grow = residual_block(options, width, width, Upsample(options.kernel))
            elif options.resample_with_convolution:
                self.grow = UpsampleConvolution(width, width, options.kernel)
            else:
                self.grow = Upsample(options.kernel)

    def forward(
        self,
        h: torch.Tensor,
        pyramid: torch.Tensor | None,
        embedding: torch.Tensor,
        skips: list[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Process h [B, C, H, W] with the last of `skips`, which are taken off the list.

        Returns:
            features at the double size (at level 0: at the same size), and the output pyramid at this level's size.
        """
        for block in self.blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), embedding)
        if self.attention is not None:
            h = self.attention(h)

        if pyramid is None or self.grow_pyramid is None:
            pyramid = None if self.to_pyramid is None else self.to_pyramid(h)
        elif self.to_pyramid is not None:
            pyramid = self.grow_pyramid(pyramid) + self.to_pyramid(h)
        else:
            h = pyramid = join(self.grow_pyramid(pyramid), h, self.skip_rescale)

        if self.grow is not None:
            h = self.grow(h, embedding) if isinstance(self.grow, ResidualBlock) else self.grow(h)
        return h, pyramid
