"""The identity is added to the features, as NCSN++ adds its time embedding (and Smooth-Swap the identity)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import Options, option
from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv3x3, linear
from smoothswap.modules.injections.checks import check_injection


class AddInjection(nn.Module):
    """h + Linear(SiLU(e)), GroupNorm, SiLU, dropout, 3x3 convolution."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of the injection `add`."""

        channels: int = option(help="channels C of the features [B, C, H, W]", at_least=1)
        embedding_dim: int = option(help="length E of the embedding [B, E]", at_least=1)
        dropout: float = option(0.0, "share of the features that is dropped in training", at_least=0.0, below=1.0)
        init_scale: float = option(0.0, "variance scale of the last convolution; 0 is near zero", at_least=0.0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.shift = linear(config.embedding_dim, config.channels)
        self.norm = group_norm(config.channels, act="swish")
        self.dropout = nn.Dropout(config.dropout)
        self.conv = conv3x3(config.channels, config.channels, scale=config.init_scale)

    def forward(self, features: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Inject embedding [B, E] into features [B, C, H, W]; same shape out."""
        check_injection(features, embedding, self.config.channels, self.config.embedding_dim)
        h = features + self.shift(F.silu(embedding))[:, :, None, None]
        return self.conv(self.dropout(self.norm(h)))  # type: ignore[no-any-return]
