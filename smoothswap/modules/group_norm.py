"""Group normalisation with NCSN++'s choice of groups."""

from __future__ import annotations

from torch import nn

EPSILON = 1e-6


def group_count(channels: int) -> int:
    """The largest divisor of `channels` up to min(channels // 4, 32), the number that NCSN++ uses where it divides."""
    most = max(1, min(channels // 4, 32))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm over [B, C, H, W] with min(C // 4, 32) groups and an epsilon of 1e-6."""
    return nn.GroupNorm(group_count(channels), channels, eps=EPSILON)
