"""A feature that says how much the images of a batch differ (Karras et al. 2018), in StyleGAN2's form."""

from __future__ import annotations

import torch
from torch import nn

EPSILON = 1e-8


class MinibatchStddev(nn.Module):
    """Appends the mean standard deviation over groups of images: [B, C, H, W] -> [B, C + features, H, W].

    Image i is grouped with the images i + B/G, i + 2B/G, …, as in StyleGAN2. Where B is no multiple of the group
    size, the next smaller size that divides B is taken.

    Args:
        group_size: images G of a group.
        features: channels that are appended, each for its own part of the C channels; 0 for none.
    """

    def __init__(self, group_size: int = 4, features: int = 1) -> None:
        super().__init__()
        self.group_size = group_size
        self.features = features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Append to x [B, C, H, W] its deviations over the batch."""
        B, C, H, W = x.shape
        if not self.features:
            return x
        if B == 0:
            return x.new_empty(0, C + self.features, H, W)
        group = next(size for size in range(min(self.group_size, B), 0, -1) if B % size == 0)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares of half precision lose too much
        parts = wide.reshape(group, B // group, self.features, C // self.features, H, W)
        variance = parts.var(dim=0, unbiased=False)  # [B/G, features, C/features, H, W]
        deviation = (variance + EPSILON).sqrt().mean(dim=(2, 3, 4))  # [B/G, features]
        extra = deviation.repeat(group, 1)[:, :, None, None].expand(B, self.features, H, W)
        return torch.cat([x, extra.to(x.dtype)], dim=1)
