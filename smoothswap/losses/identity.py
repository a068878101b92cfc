"""How far the swapped face's identity is from the source's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import same_shape, vectors
from smoothswap.losses.swap_batch import Need, SwapBatch


class IdentityLoss(nn.Module):
    """Identity loss of the swapper (Smooth-Swap, arXiv 2112.05907), weighted by λ_id.

        L_id = mean over the batch, and over the embedders f, of  1 − cos(f(x_swap), f(x_source))

    Every f is frozen, but the gradient flows through it to the swapped picture. With `enough` below 1 a pair counts
    max(enough − cos, 0): two photographs of one person are only so alike, and who is pulled nearer becomes a
    caricature.
    """

    needs: tuple[Need, ...] = ("identity",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `identity`."""

        enough: float = option(1.0, "cosine from which on a pair costs nothing; 1: the paper's", above=-1, at_most=1)

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
        each = [self._distance(z, other) for z, other in zip(batch.z_swapped, batch.z_source, strict=True)]
        return torch.stack(each).mean()

    def _distance(self, z_swap: Tensor, z_source: Tensor) -> Tensor:
        """What the vectors [B, D] of one embedder add, the mean over the batch: a scalar."""
        same_shape(z_swap, z_source, "z_swap", "z_source")
        z_swap, z_source = vectors(z_swap, "z_swap"), vectors(z_source, "z_source")
        enough = self.config.enough
        short = enough - F.cosine_similarity(z_swap, z_source, dim=1)
        return (short if enough == 1 else F.relu(short)).mean()
