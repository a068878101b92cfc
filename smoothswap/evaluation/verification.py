"""Verification: does an embedder put two pictures of one person nearer together than pictures of two people?

Letters: N pictures, D identity dimensions, n same-person pairs, m pairs of two people. All figures are exact: every
pair counts, nothing is binned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError


def auc(same: Tensor, different: Tensor) -> float:
    """Area under the ROC curve: the chance that a same-person pair scores above a pair of two people.

    Computed from ranks (Mann–Whitney U); equal scores count one half, so constant scores give exactly 0.5.

    Args:
        same: scores of same-person pairs [n], larger means more alike.
        different: scores of pairs of two people [m].

    Returns:
        0 to 1; 0.5 is chance.

    Raises:
        ArgumentError: one of the two is empty, or a score is not a number.
    """
    _check_scores(same, different)
    scores = torch.cat([same, different]).double()
    _, place, times = torch.unique(scores, return_inverse=True, return_counts=True)
    # Ranks count from 1; tied scores share the mean of the ranks they occupy.
    last = times.cumsum(0).double()
    ranks = (last - (times.double() - 1) / 2)[place]
    n, m = same.numel(), different.numel()
    u = ranks[:n].sum() - n * (n + 1) / 2
    return float(u / (n * m))


def tar_at_far(same: Tensor, different: Tensor, far: float) -> float:
    """True accept rate at a false accept rate: the share of same-person pairs above the strictest fitting threshold.

    The threshold is the lowest that accepts no more than `far` of the pairs of two people. With `far · m < 1` that
    is none of them, so the figure is then a lower bound.

    Args:
        same: scores of same-person pairs [n].
        different: scores of pairs of two people [m].
        far: allowed false accept rate, 0 to 1.

    Returns:
        0 to 1.

    Raises:
        ArgumentError: a rate outside 0 to 1, no scores, or a score that is not a number.
    """
    _check_scores(same, different)
    if not 0 <= far <= 1:
        raise ArgumentError(f"far must be from 0 to 1, got {far!r}")
    allowed = int(far * different.numel() + 1e-9)
    if allowed >= different.numel():
        return 1.0
    # Accepting only what lies strictly above the first score too many keeps ties on the safe side.
    bar = different.sort(descending=True).values[allowed]
    return float((same > bar).double().mean())


def pair_scores(z: Tensor, labels: Tensor, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cosines of all pairs of pictures, split by whether they show one person. Memory grows with N².

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
    if z.ndim != 2 or labels.shape != z.shape[:1] or (groups is not None and groups.shape != labels.shape):
        raise ArgumentError(
            "identity vectors [N, D], labels [N] and groups [N] do not go together",
            f"identity vectors: {list(z.shape)}",
            f"labels: {list(labels.shape)}",
            f"groups: {'none' if groups is None else list(groups.shape)}",
        )
    z = torch.nn.functional.normalize(z.double(), dim=1)
    first, second = torch.triu_indices(len(z), len(z), offset=1, device=z.device)
    cosines = (z @ z.T)[first, second]
    one_person = labels[first] == labels[second]
    if groups is None:
        return cosines[one_person], cosines[~one_person]
    one_group = groups[first] == groups[second]
    return cosines[one_person & one_group], cosines[~one_person & one_group]


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
    return auc(*pair_scores(z, labels, groups))


def _check_scores(same: Tensor, different: Tensor) -> None:
    if same.numel() == 0 or different.numel() == 0:
        raise ArgumentError(
            "verification needs pairs of one person and pairs of two people",
            f"pairs of one person: {same.numel()}",
            f"pairs of two people: {different.numel()}",
            hint="take at least two pictures of at least two people (of one group, where groups are given)",
        )
    if same.isnan().any() or different.isnan().any():
        raise ArgumentError("a score is not a number: the embedder gave NaN for some picture")
