"""The identity scales the channels that the second convolution reads: StyleGAN2's way (Karras et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.config import option
from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import NEAR_ZERO, linear, variance_scaling_
from smoothswap.modules.injections.checks import check_injection
from smoothswap.modules.injections.options import InjectionOptions
from smoothswap.ops import modulated_conv2d


class ModulatedInjection(nn.Module):
    """GroupNorm, SiLU, dropout, 3x3 convolution with weights w · s(e), demodulated; s = Linear(SiLU(e)), bias 1."""

    @dataclass(frozen=True, kw_only=True)
    class Config(InjectionOptions):
        """Options of the injection `modulated`."""

        demodulate: bool = option(True, "normalise the modulated weights of every output channel")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.style = linear(config.embedding_dim, channels, bias=1.0)
        self.norm = group_norm(channels, act="swish")
        self.dropout = nn.Dropout(config.dropout)
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        variance_scaling_(self.weight)
        # Demodulation undoes any scale of the weight, so that a block near zero needs a gain behind it.
        self.gain = nn.Parameter(torch.full((channels,), (config.init_scale or NEAR_ZERO) ** 0.5))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Inject embedding [B, E] into features [B, C, H, W]; same shape out."""
        check_injection(features, embedding, self.config.channels, self.config.embedding_dim)
        styles = self.style(F.silu(embedding))
        h = self.dropout(self.norm(features))
        h = modulated_conv2d(h, self.weight, styles, padding=1, demodulate=self.config.demodulate, fused_modconv=False)
        return h * self.gain.to(h.dtype)[:, None, None] + self.bias.to(h.dtype)[:, None, None]
