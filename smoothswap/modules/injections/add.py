"""The identity is added to the features, as NCSN++ adds its time embedding (and Smooth-Swap the identity)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv3x3, linear
from smoothswap.modules.injections.checks import check_injection
from smoothswap.modules.injections.options import InjectionOptions


class AddInjection(nn.Module):
    """h + Linear(SiLU(e)), GroupNorm, SiLU, dropout, 3x3 convolution."""

    @dataclass(frozen=True, kw_only=True)
    class Config(InjectionOptions):
        """Options of the injection `add`."""

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
