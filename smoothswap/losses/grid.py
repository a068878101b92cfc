"""How visible the patches are in which a generator draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import finite, pictures
from smoothswap.losses.swap_batch import Need, SwapBatch


class GridLoss(nn.Module):
    """Grid loss of a swapper that draws in patches of p × p pixels.

        L_grid = mean over batch, axes and phases k of  |m_k − mean of all m|,
        m_k = mean |d(i + 1) − d(i)| over the places i with i mod p = k,   d = x_swap − x_target

    (without the last places where these do not make a whole patch).
    Differences of neighbours are as large at one phase of the patches as at any other, unless the patches show: as
    seams, or as dots that come again in every one. An identity loss likes such patterns, and a small discriminator
    overlooks them.
    """

    needs: tuple[Need, ...] = ()

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `grid`."""

        patch: int = option(4, "side p of the generator's patches, pixels", at_least=2)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, batch: SwapBatch) -> Tensor:
        """Loss of one batch.

        Args:
            batch: with `swapped` and `target` [B, 3, H, W] in [-1, 1], H and W above p.

        Returns:
            A scalar ≥ 0, in at least float32.

        Raises:
            ArgumentError: wrong or different shapes, pictures no larger than a patch, integers, non-finite values.
        """
        pictures(batch.swapped, batch.target, "swapped", "target")
        difference = finite(batch.swapped, "swapped") - finite(batch.target, "target")
        patch = self.config.patch
        if min(difference.shape[2:]) <= patch:
            raise ArgumentError(f"pictures of {list(difference.shape[2:])} pixels have no grid of {patch} pixels")
        return torch.stack([_unevenness(difference, axis, patch) for axis in (2, 3)]).mean()


def _unevenness(difference: Tensor, axis: int, patch: int) -> Tensor:
    steps = difference.diff(dim=axis).abs().mean((1, 5 - axis))  # [B, H − 1] or [B, W − 1]
    whole = steps.shape[1] // patch * patch
    phases = steps[:, :whole].reshape(len(steps), -1, patch).mean(1)
    return (phases - phases.mean(1, keepdim=True)).abs().mean()
