"""Verification: does an embedder put two pictures of one person nearer together than pictures of two people?

Letters: N pictures, D identity dimensions, n same-person pairs, m pairs of two people. All figures are exact: every
pair counts, nothing is binned. `verify` goes through the pairs block by block, so 20,000 pictures (200 million pairs)
need their vectors, the scores of the same-person pairs and one block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.neighbours import blocks
from smoothswap.modules import cosines
from smoothswap.modules.cosines import TIE, exact_factors


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How well same-person pairs are told from pairs of two people.

    Attributes:
        auc: area under the ROC curve, 0 to 1; 0.5 is chance.
        tar: true accept rate at the false accept rate `far`, 0 to 1.
        far: the false accept rate that was allowed.
        same: number of same-person pairs n.
        different: number of pairs of two people m.
    """

    auc: float
    tar: float
    far: float
    same: int
    different: int


def auc(same: Tensor, different: Tensor, *, tie: float = 0.0) -> float:
    """Area under the ROC curve: the chance that a same-person pair scores above a pair of two people.

    Computed from ranks (Mann–Whitney U); equal scores count one half, so constant scores give exactly 0.5.

    Args:
        same: scores of same-person pairs [n], larger means more alike.
        different: scores of pairs of two people [m].
        tie: scores whose difference is no larger are equal. Sums of products need more than 0 (`TIE` for cosines), or
            equal pairs win and lose by the order of their terms; the scores of `pair_scores` are exact.

    Returns:
        0 to 1; 0.5 is chance.

    Raises:
        ArgumentError: one of the two is empty, or a score is not a number.
    """
    _check_scores(same, different)
    ordered = same.double().sort().values
    return _doubled_wins(ordered, different.double(), tie) / (2 * same.numel() * different.numel())


def tar_at_far(same: Tensor, different: Tensor, far: float, *, tie: float = 0.0) -> float:
    """True accept rate at a false accept rate: the share of same-person pairs above the strictest fitting threshold.

    The threshold is the lowest that accepts no more than `far` of the pairs of two people. With `far · m < 1` that
    is none of them, so the figure is then a lower bound.

    Args:
        same: scores of same-person pairs [n].
        different: scores of pairs of two people [m].
        far: allowed false accept rate, 0 to 1.
        tie: as for `auc`; a pair is accepted when its score lies above the threshold by more than that.

    Returns:
        0 to 1.

    Raises:
        ArgumentError: a rate outside 0 to 1, no scores, or a score that is not a number.
    """
    _check_scores(same, different)
    allowed = _accepts(far, different.numel())
    if allowed >= different.numel():
        return 1.0
    # Accepting only what lies strictly above the first score too many keeps ties on the safe side.
    bar = different.double().sort(descending=True).values[allowed]
    return float((same.double() > bar + tie).double().mean())


def pair_scores(z: Tensor, labels: Tensor, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cosines of all pairs of pictures, split by whether they show one person. Memory grows with N².

    They have the same bits on every processor; those of equal vectors are equal.

    Args:
        z: identity vectors [N, D], of any length above 0.
        labels: person of each picture [N].
        groups: group of each picture [N]; with it only pairs inside one group are taken. Where the people of a group
            share their colouring, what is left to tell them apart is shape.

    Returns:
        Scores of same-person pairs [n] and of pairs of two people [m].

    Raises:
        ArgumentError: shapes that do not go together.
    """
    z = exact_factors(unit_vectors(z, labels, groups))
    first, second = torch.triu_indices(len(z), len(z), offset=1, device=z.device)
    scores = (z @ z.T)[first, second]
    one_person = labels[first] == labels[second]
    if groups is None:
        return scores[one_person], scores[~one_person]
    one_group = groups[first] == groups[second]
    return scores[one_person & one_group], scores[~one_person & one_group]


def verification_auc(z: Tensor, labels: Tensor, groups: Tensor | None = None) -> float:
    """AUC over all pairs of pictures; with `groups`, over the pairs inside a group (the shape-only AUC).

    Args:
        z: identity vectors [N, D].
        labels: person of each picture [N].
        groups: group of same colouring of each picture [N], or None for all pairs.

    Returns:
        0 to 1; 0.5 is chance.

    Raises:
        ArgumentError: shapes that do not go together, or no pair of one of the two sorts.
    """
    return verify(z, labels, groups).auc


def verify(z: Tensor, labels: Tensor, groups: Tensor | None = None, *, far: float = 1e-3) -> Verification:
    """AUC and TAR@FAR of the cosine over all pairs of pictures, as `auc` and `tar_at_far` define them.

    Cosines are exact and equal within `TIE` (2.4e-7), so that equal angles tie, on every processor and number of
    threads. Memory grows with N · D, n and far · m, never with N².

    Args:
        z: identity vectors [N, D], of any length above 0.
        labels: person of each picture [N].
        groups: group of each picture [N], or None; with it only pairs inside one group are taken.
        far: allowed false accept rate, 0 to 1.

    Raises:
        ArgumentError: shapes that do not go together, no pair of one of the two sorts, a vector that is not finite, or
            a rate outside of 0 to 1.
    """
    z = exact_factors(unit_vectors(z, labels, groups))
    whole = torch.zeros_like(labels) if groups is None else groups
    same = torch.cat([*_same_scores(z, labels, whole), z.new_empty(0)])
    pairs = sum(math.comb(count, 2) for count in torch.unique(whole, return_counts=True)[1].tolist())
    n, m = same.numel(), pairs - same.numel()
    _check_pairs(n, m)
    if not bool(z.isfinite().all()):
        raise ArgumentError("a score is not a number: the embedder gave NaN for some picture")
    # One score more than may be accepted: the bar is the highest that must not be.
    kept = min(_accepts(far, m) + 1, m)
    ordered = same.sort().values
    doubled_wins = 0  # whole numbers, so that nothing is lost over many blocks
    top = same.new_empty(0)
    for scores in _different_scores(z, labels, whole):
        doubled_wins += _doubled_wins(ordered, scores, TIE)
        if top.numel() == kept:
            scores = scores[scores > top[-1]]
        top = torch.cat([top, scores])
        top = top.topk(min(kept, top.numel())).values
    tar = 1.0 if _accepts(far, m) >= m else float((same > top[-1] + TIE).double().mean())
    return Verification(auc=doubled_wins / (2 * n * m), tar=tar, far=far, same=n, different=m)


def unit_vectors(z: Tensor, labels: Tensor, groups: Tensor | None = None) -> Tensor:
    """Identity vectors [N, D] of any length above 0, as unit vectors in double precision.

    Raises:
        ArgumentError: vectors [N, D], labels [N] and groups [N] do not go together.
    """
    if z.ndim != 2 or labels.shape != z.shape[:1] or (groups is not None and groups.shape != labels.shape):
        raise ArgumentError(
            "identity vectors [N, D], labels [N] and groups [N] do not go together",
            f"identity vectors: {list(z.shape)}",
            f"labels: {list(labels.shape)}",
            f"groups: {'none' if groups is None else list(groups.shape)}",
        )
    return cosines.unit_vectors(z)


def of_each(labels: Tensor) -> tuple[Tensor, ...]:
    """For each person the indices of their pictures, in order of the person's number. labels: [N]."""
    _, counts = torch.unique(labels, return_counts=True)
    return torch.split(torch.argsort(labels, stable=True), counts.tolist())


def _doubled_wins(ordered: Tensor, different: Tensor, tie: float) -> int:
    """Over all pairs of a same-person score [n], ascending, and one of `different` [m]: 2 for a win, 1 for a tie."""
    if different.numel() > ordered.numel():  # sorting them as well is quicker than looking each of them up
        different = different.sort().values
        beaten = torch.searchsorted(different, ordered - tie, right=False).sum()
        equalled = torch.searchsorted(different, ordered + tie, right=True).sum()
        return int(beaten) + int(equalled)
    below = torch.searchsorted(ordered, different - tie, right=False).sum()
    not_above = torch.searchsorted(ordered, different + tie, right=True).sum()
    return 2 * ordered.numel() * different.numel() - int(below) - int(not_above)


def _same_scores(z: Tensor, labels: Tensor, groups: Tensor) -> Iterator[Tensor]:
    """Scores of the same-person pairs, each pair once, of one person after the other."""
    for pictures in of_each(labels):
        own, whose = z[pictures], groups[pictures]
        first, second = torch.triu_indices(len(own), len(own), 1, device=z.device)
        inside = whose[first] == whose[second]
        yield (own @ own.T)[first[inside], second[inside]]


def _different_scores(z: Tensor, labels: Tensor, groups: Tensor) -> Iterator[Tensor]:
    """Scores of the pairs of two people inside a group, each pair once, block by block."""
    for pictures in of_each(groups):
        own, whose = z[pictures], labels[pictures]
        places = torch.arange(len(own), device=z.device)
        for rows in blocks(len(own), len(own)):
            # Right of the diagonal alone: columns before the block's first row were rows of an earlier one.
            wanted = (places[rows, None] < places[None, rows.start :]) & (
                whose[rows, None] != whose[None, rows.start :]
            )
            yield (own[rows] @ own[rows.start :].T)[wanted]


def _accepts(far: float, different: int) -> int:
    """How many of `different` pairs of two people may be accepted."""
    if not 0 <= far <= 1:
        raise ArgumentError(f"far must be from 0 to 1, got {far!r}")
    return int(far * different + 1e-9)


def _check_scores(same: Tensor, different: Tensor) -> None:
    _check_pairs(same.numel(), different.numel())
    if same.isnan().any() or different.isnan().any():
        raise ArgumentError("a score is not a number: the embedder gave NaN for some picture")


def _check_pairs(same: int, different: int) -> None:
    if same == 0 or different == 0:
        raise ArgumentError(
            "verification needs pairs of one person and pairs of two people",
            f"pairs of one person: {same}",
            f"pairs of two people: {different}",
            hint="take at least two pictures of at least two people (of one group, where groups are given)",
        )
