"""Supervised contrastive loss: the one that makes the identity space smooth."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import labels_of, vectors
from smoothswap.ops import supcon_loss


class SupConLoss(nn.Module):
    """Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, eq. 2, L_out).

    With P(i) the other images of the person of image i, A(i) all other images and τ the temperature:

        L = mean over i with |P(i)| > 0 of  −1/|P(i)| Σ_{p∈P(i)} log( exp(z_i·z_p/τ) / Σ_{a∈A(i)} exp(z_i·z_a/τ) )

    It is the training loss of the Smooth-Swap identity embedder. The N×N similarities are the business of
    `smoothswap.ops.supcon_loss`. A batch in which no person has two images has loss 0 and gradient 0.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `supcon`."""

        temperature: float = option(
            0.07, "τ, divides the cosines; the reference code's default, the paper's value is not known", above=0
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            z: [N, D] identity vectors; they are scaled to unit length here, which leaves unit vectors as they are.
            labels: [N] person indices.

        Returns:
            A scalar ≥ 0 in at least float32.

        Raises:
            ArgumentError: fewer than two images, wrong shapes, non-finite vectors.
        """
        z = vectors(z, "z")
        labels = labels_of(labels, z)
        if z.shape[0] < 2:
            raise ArgumentError("a contrastive loss needs at least 2 images in a batch, got 1")
        return supcon_loss(F.normalize(z, dim=1), labels, temperature=self.config.temperature)
