"""How far the swapped face's identity is from the source's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import same_shape, vectors
from smoothswap.losses.swap_batch import Need, SwapBatch


class IdentityLoss(nn.Module):
    """Identity loss of the swapper (Smooth-Swap, arXiv 2112.05907), weighted by λ_id.

        L_id = mean over the batch, and over the embedders f, of  1 − cos(f(x_swap), f(x_source))

    Every f is frozen, but the gradient flows through it to the swapped picture.
    """

    needs: tuple[Need, ...] = ("identity",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """`identity` has no options."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, batch: SwapBatch) -> Tensor:
        """Loss of one batch.

        Args:
            batch: with `z_swapped` and `z_source`, [B, D] for each embedder, of any length.

        Returns:
            A scalar in 0 … 2, in at least float32.

        Raises:
            ArgumentError: no vectors, wrong or different shapes, non-finite vectors.
        """
        if not batch.z_swapped:
            raise ArgumentError("the batch has no identity vectors")
        each = [self.distance(z, other) for z, other in zip(batch.z_swapped, batch.z_source, strict=True)]
        return torch.stack(each).mean()

    @staticmethod
    def distance(z_swap: Tensor, z_source: Tensor) -> Tensor:
        """1 − cosine, the mean over two batches of vectors [B, D] of any length: a scalar in 0 … 2.

        Raises:
            ArgumentError: wrong or different shapes, non-finite vectors.
        """
        same_shape(z_swap, z_source, "z_swap", "z_source")
        z_swap, z_source = vectors(z_swap, "z_swap"), vectors(z_source, "z_source")
        return (1.0 - F.cosine_similarity(z_swap, z_source, dim=1)).mean()
