"""The identity scales and shifts normalised features: adaptive group normalisation (Dhariwal and Nichol 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv3x3, linear
from smoothswap.modules.injections.checks import check_injection
from smoothswap.modules.injections.options import InjectionOptions


class AdaGNInjection(nn.Module):
    """(1 + γ(e)) · GroupNorm(h) + β(e), SiLU, dropout, 3x3 convolution, with (γ, β) = Linear(SiLU(e))."""

    @dataclass(frozen=True, kw_only=True)
    class Config(InjectionOptions):
        """Options of the injection `adagn`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.style = linear(config.embedding_dim, 2 * config.channels)
        self.norm = group_norm(config.channels)
        self.dropout = nn.Dropout(config.dropout)
        self.conv = conv3x3(config.channels, config.channels, scale=config.init_scale)

    def forward(self, features: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Inject embedding [B, E] into features [B, C, H, W]; same shape out."""
        check_injection(features, embedding, self.config.channels, self.config.embedding_dim)
        scale, shift = self.style(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)  # each [B, C, 1, 1]
        h = F.silu(torch.addcmul(shift, self.norm(features), 1 + scale))
        return self.conv(self.dropout(h))  # type: ignore[no-any-return]
