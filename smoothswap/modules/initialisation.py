"""Convolutions and linear layers with NCSN++'s initialisation.

Weights are uniform with variance `scale / fan_avg`, biases zero (variance scaling, as in score_sde, Song et al.
2021). A scale of 0 stands for 1e-10: not exactly zero, so that gradients pass through the layer from the first step
on.
"""

from __future__ import annotations

import math

import torch
from torch import nn

NEAR_ZERO = 1e-10


def variance_scaling_(weight: torch.Tensor, scale: float = 1.0) -> None:
    """Fill a weight [out, in] or [out, in, k, k] in place with uniform values of variance scale / fan_avg."""
    # Xavier's bound is gain * sqrt(6 / (fan_in + fan_out)), which is a variance of gain**2 / fan_avg.
    nn.init.xavier_uniform_(weight, gain=math.sqrt(scale or NEAR_ZERO))


def linear(in_features: int, out_features: int, *, scale: float = 1.0, bias: float = 0.0) -> nn.Linear:
    """A linear layer [B, in] -> [B, out] whose biases all start at `bias`."""
    layer = nn.Linear(in_features, out_features)
    variance_scaling_(layer.weight, scale)
    nn.init.constant_(layer.bias, bias)
    return layer


def conv3x3(in_channels: int, out_channels: int, *, scale: float = 1.0) -> nn.Conv2d:
    """A 3x3 convolution [B, in, H, W] -> [B, out, H, W]."""
    return _convolution(in_channels, out_channels, 3, scale)


def conv1x1(in_channels: int, out_channels: int, *, scale: float = 1.0) -> nn.Conv2d:
    """A 1x1 convolution [B, in, H, W] -> [B, out, H, W]."""
    return _convolution(in_channels, out_channels, 1, scale)


def _convolution(in_channels: int, out_channels: int, size: int, scale: float) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, size, padding=size // 2)
    variance_scaling_(layer.weight, scale)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
