"""How far the swap is from the true swap, where the data set knows it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import swapped_and_truth
from smoothswap.losses.swap_batch import Need, SwapBatch


class TruthLoss(nn.Module):
    """Distance to the true swap, pixel by pixel.

        L_truth = mean of  |d| + square · d² + edges · |d − box(d)|,   d = x_swap − x_truth

    box is the mean of 3 × 3 pixels, so the last term counts what is finer than that: a blur that moves few pixels by
    much in value would otherwise cost little. `square` weighs large errors more, which is what PSNR counts.
    """

    needs: tuple[Need, ...] = ("truth",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `truth`."""

        absolute: float = option(1.0, "factor of the absolute difference", at_least=0)
        square: float = option(0.0, "factor of the squared difference", at_least=0)
        edges: float = option(0.0, "factor of the absolute difference of fine structure", at_least=0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, batch: SwapBatch) -> Tensor:
        """Loss of one batch.

        Args:
            batch: with `swapped` and `truth` [B, 3, H, W] in [-1, 1].

        Returns:
            A scalar ≥ 0, in at least float32.

        Raises:
            ArgumentError: no truth, wrong or different shapes, integers, non-finite values.
        """
        swapped, truth = swapped_and_truth(batch)
        difference = swapped - truth
        config = self.config
        loss = config.absolute * difference.abs().mean()
        if config.square:
            loss = loss + config.square * difference.square().mean()
        if config.edges:
            smooth = F.avg_pool2d(F.pad(difference, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
            loss = loss + config.edges * torch.mean((difference - smooth).abs())
        return loss
