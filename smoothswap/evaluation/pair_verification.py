"""Verification on listed pairs, as LFW reports it: accuracy by cross-validation, rates at thresholds, equal error rate.

P: pairs, D: identity dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.verification import auc, tar_at_far
from smoothswap.modules.cosines import TIE, exact_factors, unit_vectors

FARS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, kw_only=True)
class PairVerification:
    """How well listed pairs of one person are told from listed pairs of two people.

    Attributes:
        accuracy: mean over the folds of the share of right decisions, 0 to 1. The threshold of a fold is the one that
            decides most pairs of the other folds rightly.
        error: standard error of that mean.
        folds: the accuracy of each fold.
        thresholds: the threshold of each fold, a cosine.
        auc: area under the ROC curve over all pairs, 0 to 1.
        eer: equal error rate, 0 to 1: the false accept rate where it equals the false reject rate.
        tar: true accept rate at each false accept rate of `FARS`, over all pairs.
        same: number of pairs of one person.
        different: number of pairs of two people.
    """

    accuracy: float
    error: float
    folds: tuple[float, ...]
    thresholds: tuple[float, ...]
    auc: float
    eer: float
    tar: Mapping[float, float]
    same: int
    different: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold."""
        return {**asdict(self), "tar": {f"{far:g}": tar for far, tar in self.tar.items()}}

    def __str__(self) -> str:
        rates = ", ".join(f"{tar:.2%} at {far:g}" for far, tar in self.tar.items())
        return "\n".join(
            [
                f"accuracy {self.accuracy:.2%} ± {self.error:.2%} ({len(self.folds)} folds, "
                f"{self.same} pairs of one person, {self.different} of two)",
                f"AUC {self.auc:.5f}, equal error rate {self.eer:.2%}",
                f"true accept rate at a false accept rate: {rates}",
            ]
        )


def listed_scores(z: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Cosines [P] of listed pairs, in float64 and with the same bits on every processor.

    Args:
        z: identity vectors [N, D] of any length above 0.
        first: int64 [P], row of each pair's first image.
        second: int64 [P], row of its second image.
    """
    unit = exact_factors(unit_vectors(z))
    return (unit[first] * unit[second]).sum(dim=1)


def verify_listed(scores: Tensor, same: Tensor, folds: Tensor) -> PairVerification:
    """Verification of listed pairs by their scores (Huang et al., "Labeled Faces in the Wild", 2007).

    Args:
        scores: [P], larger means more alike.
        same: bool [P], pairs of one person.
        folds: int64 [P], part of the cross-validation, from 0.

    Raises:
        ArgumentError: shapes that do not go together, a score that is NaN, or only one fold or one kind of pair.
    """
    if scores.ndim != 1 or same.shape != scores.shape or folds.shape != scores.shape:
        raise ArgumentError(
            "scores [P], same [P] and folds [P] do not go together",
            f"scores: {list(scores.shape)}, same: {list(same.shape)}, folds: {list(folds.shape)}",
        )
    numbers = sorted(set(folds.tolist()))
    if len(numbers) < 2:
        raise ArgumentError("a cross-validation needs two folds or more", f"folds: {numbers}")
    scores = scores.double()
    area = auc(scores[same], scores[~same], tie=TIE)  # refuses NaN, and pairs of one kind alone
    thresholds, accuracies = [], []
    for number in numbers:
        inside = folds == number
        threshold = best_threshold(scores[~inside], same[~inside])
        thresholds.append(threshold)
        accuracies.append(float(((scores[inside] > threshold) == same[inside]).double().mean()))
    spread = torch.tensor(accuracies, dtype=torch.float64).std().item()
    return PairVerification(
        accuracy=math.fsum(accuracies) / len(accuracies),
        error=spread / math.sqrt(len(accuracies)),
        folds=tuple(accuracies),
        thresholds=tuple(thresholds),
        auc=area,
        eer=equal_error_rate(scores[same], scores[~same]),
        tar={far: tar_at_far(scores[same], scores[~same], far, tie=TIE) for far in FARS},
        same=int(same.sum()),
        different=int((~same).sum()),
    )


def best_threshold(scores: Tensor, same: Tensor) -> float:
    """The threshold that decides most pairs rightly, where a pair above it counts as one person.

    It lies half way between two scores; of equally good ones the lowest is taken.

    Args:
        scores: [P].
        same: bool [P].
    """
    scores, order = scores.double().sort(stable=True)
    same = same[order]
    edges = torch.cat([scores[:1] - 1, (scores[1:] + scores[:-1]) / 2, scores[-1:] + 1])
    rejected_right = torch.cat([scores.new_zeros(1), (~same).double().cumsum(0)])
    accepted_right = same.double().sum() - torch.cat([scores.new_zeros(1), same.double().cumsum(0)])
    right = rejected_right + accepted_right
    # Between two equal scores there is no threshold.
    right[1:-1][scores[1:] - scores[:-1] <= TIE] = -1
    return float(edges[right.argmax()])


def roc(same: Tensor, different: Tensor) -> tuple[Tensor, Tensor]:
    """The ROC curve: false and true accept rate [K + 1] at every threshold, from (0, 0) to (1, 1).

    Args:
        same: scores of pairs of one person [n].
        different: scores of pairs of two people [m].
    """
    scores = torch.cat([same, different]).double()
    is_same = torch.cat([torch.ones_like(same), torch.zeros_like(different)]).double()
    scores, order = scores.sort(descending=True, stable=True)
    is_same = is_same[order]
    # Equal scores are accepted together.
    last = torch.cat([scores[:-1] - scores[1:] > TIE, scores.new_ones(1).bool()])
    accepted = is_same.cumsum(0)[last], (1 - is_same).cumsum(0)[last]
    zero = scores.new_zeros(1)
    return torch.cat([zero, accepted[1] / different.numel()]), torch.cat([zero, accepted[0] / same.numel()])


def equal_error_rate(same: Tensor, different: Tensor) -> float:
    """The rate at which as many pairs of two people are accepted as pairs of one person are rejected, 0 to 1.

    Between two thresholds the ROC curve is taken as straight.

    Args:
        same: scores of pairs of one person [n].
        different: scores of pairs of two people [m].
    """
    far, tar = roc(same, different)
    gap = far - (1 - tar)  # rises from -1 to 1
    after = int((gap >= 0).double().argmax())
    before = max(after - 1, 0)
    step = float(gap[after] - gap[before])
    share = float(-gap[before]) / step if step > 0 else 0.0
    return float(far[before] + share * (far[after] - far[before]))


def worst_pairs(scores: Tensor, same: Tensor, count: int) -> tuple[Sequence[int], Sequence[int]]:
    """Indices of the pairs that are most wrong: of one person with the lowest scores, of two people with the highest.

    Args:
        scores: [P].
        same: bool [P].
        count: of each kind, at most.
    """
    ones, twos = same.nonzero()[:, 0], (~same).nonzero()[:, 0]
    lowest = ones[scores[ones].sort(stable=True).indices[:count]]
    highest = twos[scores[twos].sort(descending=True, stable=True).indices[:count]]
    return lowest.tolist(), highest.tolist()
