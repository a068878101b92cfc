"""What `smooth_unet` makes of identity and scene together, where `scene_dim` asks for it.

Letters: B batch, C channels and S side of the smallest level, E length of the embedding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.generators.unet_options import UnetOptions
from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.initialisation import conv1x1, linear

MAP_CHANNELS = 32
"""Channels in which the smallest level is read and drawn on, position by position."""
START = 0.1
"""Variance scale of the layers that end here, so that training starts near a generator without a scene."""


class Scene(nn.Module):
    """Reads the target's scene, and gives the way up an embedding and a map that know identity and scene.

    How this face looks in that pose, with that expression, in that light is a function of all four. Convolutions that
    an identity only scales and shifts must build it up over several layers; a small MLP at the smallest size has it at
    once. The paper has no such part.
    """

    def __init__(self, options: UnetOptions, channels: int) -> None:
        super().__init__()
        side, wide = options.sizes[-1], 2 * options.embedding_dim
        self.norm = group_norm(channels, act="swish")
        self.squeeze = conv1x1(channels, MAP_CHANNELS)
        self.code = linear(MAP_CHANNELS * side**2, options.scene_dim)
        self.hidden = nn.ModuleList([linear(options.embedding_dim + options.scene_dim, wide), linear(wide, wide)])
        self.to_embedding = linear(wide, options.embedding_dim, scale=START)
        self.to_map = linear(wide, MAP_CHANNELS * side**2)
        self.spread = conv1x1(MAP_CHANNELS, channels, scale=START)

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features h [B, C, S, S] and the embedding [B, E] -> the same, each with what the scene adds to it."""
        B, _, H, W = h.shape
        code = self.code(self.squeeze(self.norm(h)).flatten(1))
        both = torch.cat([F.silu(embedding), code], dim=1)
        for layer in self.hidden:
            both = F.silu(layer(both))
        drawn = self.to_map(both).view(B, H, W, MAP_CHANNELS).permute(0, 3, 1, 2)  # channels_last, without a copy
        return h + self.spread(drawn), embedding + self.to_embedding(both)
