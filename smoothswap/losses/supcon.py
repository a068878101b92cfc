"""Supervised contrastive loss: the one that makes the identity space smooth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import Across, labels_of, vectors
from smoothswap.ops import distributed_supcon_loss, supcon_loss
from smoothswap.ops.collectives import size_of


class SupConLoss(nn.Module):
    """Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, eq. 2, L_out).

    With P(i) the other images of the person of image i, A(i) all other images and τ the temperature:

        L = mean over i with |P(i)| > 0 of  −1/|P(i)| Σ_{p∈P(i)} log( exp(z_i·z_p/τ) / Σ_{a∈A(i)} exp(z_i·z_a/τ) )

    It is the training loss of the Smooth-Swap identity embedder. The N×N similarities are the business of
    `smoothswap.ops.supcon_loss`. A batch in which no person has two images has loss 0 and gradient 0.

    Where torch.distributed runs with several processes, i, p and a go over the images of all of them, and every process
    has to call the loss (see `smoothswap.ops.distributed_supcon_loss`, also for what its gradient is multiplied with).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `supcon`."""

        temperature: float = option(
            0.07, "τ, divides the cosines; the reference code's default, the paper's value is not known", above=0
        )
        exchange: Literal["gather", "ring", "none"] = option(
            "gather",
            "how processes that train together compare their images: gather (all vectors at each), ring (a block of "
            "them at a time), none (each its own images only)",
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    @property
    def across(self) -> Across:
        """The vectors of all processes meet inside of the loss, unless `exchange` is none."""
        return "separate" if self.config.exchange == "none" else "inside"

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            z: [N, D] identity vectors; they are scaled to unit length here, which leaves unit vectors as they are. With
                several processes N may differ between them, and be 0.
            labels: [N] person indices.

        Returns:
            A scalar ≥ 0 in at least float32; the same on all processes that compare their images.

        Raises:
            ArgumentError: fewer than two images, wrong shapes, non-finite vectors; with several processes on all of
                them, whichever is at fault.
        """
        if self.config.exchange != "none" and size_of() > 1:
            # Checked inside: an error on this process alone would leave the others waiting.
            return distributed_supcon_loss(
                _unit(z), labels, temperature=self.config.temperature, exchange=self.config.exchange
            )
        z = vectors(z, "z")
        labels = labels_of(labels, z)
        if z.shape[0] < 2:
            raise ArgumentError("a contrastive loss needs at least 2 images in a batch, got 1")
        return supcon_loss(F.normalize(z, dim=1), labels, temperature=self.config.temperature)


def _unit(z: Tensor) -> Tensor:
    """`z` at unit length in at least float32; whatever is no batch of vectors is left to be refused."""
    if not isinstance(z, Tensor) or not z.is_floating_point() or z.dim() != 2:
        return z
    return F.normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
