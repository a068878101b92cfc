"""Exponential moving average of a model's weights, with a half-life in images."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """A second copy of a model, whose parameters follow the first one's slowly.

    Buffers (BatchNorm's running statistics, step counters) are copied: they are averages already, and counters
    have no mean.

    Args:
        module: the model that is trained; the average starts as its copy.
        half_life: images after which half of an old weight is forgotten; 0 follows at once.
        rampup: the half-life is at most this share of the images seen, so that the start is forgotten quickly.
    """

    def __init__(self, module: M, half_life: int, rampup: float) -> None:
        self.module: M = copy.deepcopy(module).eval().requires_grad_(False)
        self.half_life = half_life
        self.rampup = rampup

    def decay(self, batch_size: int, images: int) -> float:
        """Share of the old average that stays after a step of `batch_size` images, `images` in all."""
        half_life = min(self.half_life, self.rampup * images)
        return 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, module: M, batch_size: int, images: int) -> None:
        """Move the average towards the model after a step of `batch_size` images, `images` in all."""
        own: list[Tensor] = list(self.module.parameters())
        new: list[Tensor] = list(module.parameters())
        torch._foreach_lerp_(own, new, 1 - self.decay(batch_size, images))
        for mine, its in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(its)
