"""NCSN++'s residual block around an injection."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv1x1, conv3x3


def join(x: torch.Tensor, h: torch.Tensor, rescale: bool) -> torch.Tensor:
    """X + h, divided by √2 with `rescale` so that the variance of two independent paths stays that of one."""
    return (x + h).mul_(math.sqrt(0.5)) if rescale else x + h  # in place: the sum is not needed again


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, resampling, 3x3 convolution, injection; plus the resampled input.

    Source: ResnetBlockBigGAN++ and ResnetBlockDDPM++ of NCSN++ (Song et al. 2021); the part behind the first
        convolution is
    the injection, through which the identity enters.

    Args:
        in_channels: channels of the input [B, in, H, W].
        out_channels: channels of the output.
        injection: module (features [B, out, H, W], embedding [B, E]) -> [B, out, H, W].
        resample: applied to both paths; None leaves the size.
        skip_rescale: divide the sum by √2.
        shortcut_scale: variance scale of the 1x1 convolution on the input's path, which is there where channels or
            size change.
        recompute: keep no activations for the backward pass, but compute them again (less memory, more time).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        injection: nn.Module,
        *,
        resample: nn.Module | None = None,
        skip_rescale: bool = True,
        shortcut_scale: float = 1.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.norm = group_norm(in_channels, act="swish")
        self.conv = conv3x3(in_channels, out_channels)
        self.injection = injection
        self.resample = resample
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels or resample is not None:
            self.shortcut = conv1x1(in_channels, out_channels, scale=shortcut_scale)
        self.skip_rescale = skip_rescale
        self.recompute = recompute

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W] under the embedding [B, E]."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self._transform, x, embedding, use_reentrant=False)  # type: ignore[no-any-return]
        return self._transform(x, embedding)

    def _transform(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.injection(self.conv(h), embedding)
        return join(x if self.shortcut is None else self.shortcut(x), h, self.skip_rescale)
