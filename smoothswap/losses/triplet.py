"""Triplet loss with the triplets chosen inside the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import Across, full_precision, labels_of, vectors


class TripletLoss(nn.Module):
    """Triplet loss on unit vectors (Schroff et al. 2015, arXiv 1503.03832, eq. 2).

        L = mean over triplets of  max(0, d(a, p) − d(a, n) + margin),   d(u, v) = ‖u − v‖² = 2 − 2 cos(u, v)

    `mining` says which triplets:

    - `hard`: for every anchor its farthest positive and its nearest negative (Hermans et al. 2017,
      arXiv 1703.07737, eq. 5).
    - `semi_hard`: for every anchor and positive, the nearest negative that is farther than that positive; where there
      is none, the farthest negative (Schroff et al., section 3.2; the fallback is TensorFlow's).

    A batch without a triplet (one person, or no person twice) has loss 0 and gradient 0.
    """

    across: Across = "gathered"

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `triplet`."""

        margin: float = option(0.2, "wanted gap between the squared distances, which lie in 0 … 4", at_least=0)
        mining: Literal["hard", "semi_hard"] = option("hard", "which triplets of the batch count")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            z: [N, D] identity vectors; they are scaled to unit length here.
            labels: [N] person indices.

        Returns:
            A scalar ≥ 0 in at least float32.

        Raises:
            ArgumentError: wrong shapes, non-finite vectors.
        """
        z = vectors(z, "z")
        labels = labels_of(labels, z)
        with full_precision(z):
            unit = F.normalize(z, dim=1)
            distances = 2.0 - 2.0 * unit @ unit.t()
        same = labels[:, None] == labels[None, :]
        negative = ~same
        positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        usable = positive.any(1) & negative.any(1)
        if not usable.any():
            return distances.sum() * 0.0
        distances, positive, negative = distances[usable], positive[usable], negative[usable]
        if self.config.mining == "hard":
            violation = _farthest(distances, positive) - _nearest(distances, negative)
        else:
            violation = _semi_hard(distances, positive, negative)
        return F.relu(violation + self.config.margin).mean()


def _farthest(distances: Tensor, among: Tensor) -> Tensor:
    """Largest distance [A] of each row of [A, N] among the marked ones; each row has one."""
    return distances.masked_fill(~among, -torch.inf).amax(1)


def _nearest(distances: Tensor, among: Tensor) -> Tensor:
    """Smallest distance [A] of each row of [A, N] among the marked ones; each row has one."""
    return distances.masked_fill(~among, torch.inf).amin(1)


def _semi_hard(distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """d(a, p) − d(a, n) of every anchor-positive pair [number of pairs], n chosen as the class says."""
    # Sorting each anchor's negatives once answers "the nearest beyond p" for all its positives by bisection.
    ordered = distances.masked_fill(~negative, torch.inf).sort(dim=1).values
    last = negative.sum(1, keepdim=True) - 1
    found = torch.searchsorted(ordered.detach(), distances.detach().contiguous(), right=True)
    chosen = ordered.gather(1, torch.minimum(found, last))
    return (distances - chosen)[positive]
