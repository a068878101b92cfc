"""Self-attention over the positions of a feature map, one head, as in NCSN++."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv1x1, variance_scaling_
from smoothswap.modules.residual import join


class AttentionBlock(nn.Module):
    """GroupNorm, queries, keys and values, attention, projection; added to the input.

    Args:
        channels: C of the features [B, C, H, W].
        skip_rescale: divide the sum by √2.
        init_scale: variance scale of the projection; 0 is near zero, so that the block starts as the identity.
    """

    def __init__(self, channels: int, *, skip_rescale: bool = True, init_scale: float = 0.0) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = conv1x1(channels, 3 * channels)
        for weight in self.qkv.weight.data.chunk(3):  # three layers in one, each with its own fan
            variance_scaling_(weight, 0.1)
        self.project = conv1x1(channels, channels, scale=init_scale)
        self.skip_rescale = skip_rescale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend over the H*W positions of x [B, C, H, W]; same shape out."""
        B, C, H, W = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, 3, 1, C, H * W).transpose(3, 4)  # [B, 3, 1 head, HW, C]
        h = F.scaled_dot_product_attention(*qkv.unbind(1))  # scale 1/√C, [B, 1, HW, C]
        return join(x, self.project(h.transpose(2, 3).reshape(B, C, H, W)), self.skip_rescale)
