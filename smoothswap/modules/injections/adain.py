"""The identity sets mean and deviation of every channel: adaptive instance normalisation (Huang and Belongie 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import option
from smoothswap.modules.initialisation import conv3x3, linear
from smoothswap.modules.injections.checks import check_injection
from smoothswap.modules.injections.options import InjectionOptions


class AdaINInjection(nn.Module):
    """(1 + γ(e)) · InstanceNorm(h) + β(e), SiLU, dropout, 3x3 convolution, with (γ, β) = Linear(SiLU(e))."""

    @dataclass(frozen=True, kw_only=True)
    class Config(InjectionOptions):
        """Options of the injection `adain`."""

        epsilon: float = option(1e-5, "added to the variance before the root", above=0.0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.style = linear(config.embedding_dim, 2 * config.channels)
        self.dropout = nn.Dropout(config.dropout)
        self.conv = conv3x3(config.channels, config.channels, scale=config.init_scale)

    def forward(self, features: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Inject embedding [B, E] into features [B, C, H, W]; same shape out."""
        check_injection(features, embedding, self.config.channels, self.config.embedding_dim)
        scale, shift = self.style(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)  # each [B, C, 1, 1]
        # One group a channel is instance normalisation, and has no trouble with a map of a single pixel.
        h = F.group_norm(features, self.config.channels, eps=self.config.epsilon)
        h = F.silu(h * (1 + scale) + shift)
        return self.conv(self.dropout(h))  # type: ignore[no-any-return]
