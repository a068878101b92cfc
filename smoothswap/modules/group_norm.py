"""Group normalisation with NCSN++'s choice of groups, and the activation behind it."""

from __future__ import annotations

import torch
from torch import nn

from smoothswap.ops import group_norm_act

EPSILON = 1e-6


class GroupNormAct(nn.GroupNorm):
    """`nn.GroupNorm` and an activation in one op; weights and their names are GroupNorm's.

    Args:
        groups: number of groups, a divisor of `channels`.
        channels: C of the features [B, C, …].
        eps: added to the variance.
        act: an activation of `smoothswap.ops.group_norm_act`.
    """

    def __init__(self, groups: int, channels: int, eps: float = EPSILON, act: str = "swish") -> None:
        super().__init__(groups, channels, eps=eps)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise and activate x [B, C, …]; same shape, dtype and memory format out."""
        return group_norm_act(x, self.num_groups, self.weight, self.bias, self.eps, self.act)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{super().extra_repr()}, act={self.act}"


def group_count(channels: int) -> int:
    """The largest divisor of `channels` up to min(channels // 4, 32), the number that NCSN++ uses where it divides."""
    most = max(1, min(channels // 4, 32))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def group_norm(channels: int, act: str = "linear") -> GroupNormAct:
    """GroupNorm over [B, C, H, W] with min(C // 4, 32) groups and an epsilon of 1e-6, and an activation."""
    return GroupNormAct(group_count(channels), channels, act=act)
