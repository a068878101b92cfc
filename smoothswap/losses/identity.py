"""How far the swapped face's identity is from the source's."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options
from smoothswap.losses.arguments import same_shape, vectors


class IdentityLoss(nn.Module):
    """Identity loss of the swapper (Smooth-Swap, arXiv 2112.05907).

        L_id = mean over the batch of  1 − cos(f(x_swap), f(x_source))

    f is the frozen embedder; the gradient must still flow through it to the swapped picture, so freeze its parameters
    and do not run it under `no_grad` for `z_swap`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """`identity` has no options."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, z_swap: Tensor, z_source: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            z_swap: [B, D] identity vectors of the swapped pictures, of any length.
            z_source: [B, D] identity vectors of the source pictures, of any length.

        Returns:
            A scalar in 0 … 2, in at least float32.

        Raises:
            ArgumentError: wrong or different shapes, non-finite vectors.
        """
        same_shape(z_swap, z_source, "z_swap", "z_source")
        z_swap, z_source = vectors(z_swap, "z_swap"), vectors(z_source, "z_source")
        return (1.0 - F.cosine_similarity(z_swap, z_source, dim=1)).mean()
