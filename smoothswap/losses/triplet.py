"""Triplet loss with the triplets chosen inside the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import Across, full_precision, labels_of, vectors
from smoothswap.modules.cosines import TIE, exact_factors, first_largest, unit_vectors


class TripletLoss(nn.Module):
    """Triplet loss on unit vectors (Schroff et al. 2015, arXiv 1503.03832, eq. 2).

        L = mean over triplets of  max(0, d(a, p) − d(a, n) + margin),   d(u, v) = ‖u − v‖² = 2 − 2 cos(u, v)

    `mining` says which triplets:

    - `hard`: for every anchor its farthest positive and its nearest negative (Hermans et al. 2017,
      arXiv 1703.07737, eq. 5).
    - `semi_hard`: for every anchor and positive, the nearest negative that is farther than that positive; where there
      is none, the farthest negative (Schroff et al., section 3.2; the fallback is TensorFlow's).

    Triplets are chosen by exact cosines, equal within `TIE`, so that every processor chooses alike: of positives or
    negatives at the same distance the first in the batch counts, and a negative at the positive's distance is not
    farther.

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
        if z.device.type == "mps":  # Apple's GPUs have no float64
            return cast(Tensor, self(z.cpu(), labels.cpu())).to(z.device)
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
        cosines = _exact_cosines(z)[usable]
        if self.config.mining == "hard":
            farthest = first_largest((-cosines).masked_fill(~positive, -torch.inf))
            nearest = first_largest(cosines.masked_fill(~negative, -torch.inf))
            violation = (distances.gather(1, farthest[:, None]) - distances.gather(1, nearest[:, None]))[:, 0]
        else:
            violation = (distances - distances.gather(1, _beyond(cosines, negative)))[positive]
        return F.relu(violation + self.config.margin).mean()


@torch.no_grad()
def _exact_cosines(z: Tensor) -> Tensor:
    """Cosines of all pairs of vectors [N, D], to choose by: float64 [N, N], the same bits on every processor."""
    unit = exact_factors(unit_vectors(z))
    return unit @ unit.t()


def _beyond(cosines: Tensor, negative: Tensor) -> Tensor:
    """For each anchor and each vector, the nearest negative that is farther from the anchor than the vector is.

    Where none is farther it is the farthest negative.

    Args:
        cosines: of anchors to all vectors [A, N].
        negative: which vectors are negatives of each anchor [A, N]; each row has one.

    Returns:
        Its index, int64 [A, N].
    """
    # Sorting each anchor's negatives once answers this for all vectors by bisection. Nearest first: 1 − cosine ascends.
    ordered, place = (-cosines).masked_fill(~negative, torch.inf).sort(dim=1, stable=True)
    last = negative.sum(1, keepdim=True) - 1
    found = torch.searchsorted(ordered, TIE - cosines, right=True)
    return place.gather(1, torch.minimum(found, last))
