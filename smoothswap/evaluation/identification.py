"""Identification: is the picture nearest to another one of the same person?

Every picture is asked for once and left out of the gallery, which is all the others. N pictures, D identity dimensions.
Ties are shared, so no figure depends on the order of the pictures: a constant embedder gets what guessing gets. Cosines
are exact and equal within `TIE`, so no figure depends on the processor either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.neighbours import blocks
from smoothswap.evaluation.verification import unit_vectors
from smoothswap.modules.cosines import TIE, exact_factors


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Leave-one-out identification by nearest neighbours.

    Attributes:
        rank1: share of the queries whose nearest other picture shows the same person, 0 to 1.
        vote: share of the queries whose k nearest other pictures elect the right person, 0 to 1.
        k: number of neighbours that vote.
        queries: pictures whose person has another picture; the rest cannot be found and only serve as gallery.
    """

    rank1: float
    vote: float
    k: int
    queries: int


def identify(z: Tensor, labels: Tensor, k: int = 5) -> Identification:
    """Look each picture up among all others, by cosine.

    The k nearest have a vote each; where more pictures are as near as the k-th, they share the votes that are
    left. Of people with equally many votes the one whose votes are nearer (larger sum of cosines) is elected. Whatever
    is equal still is shared: a picture with one right and one wrong neighbour at the same distance counts one half.
    Memory grows with N, not N².

    Args:
        z: identity vectors [N, D], of any length above 0.
        labels: person of each picture [N].
        k: number of neighbours that vote, at least 1.

    Raises:
        ArgumentError: shapes that do not go together, vectors that are not finite, k below 1, or no person with two
            pictures.
    """
    z = exact_factors(unit_vectors(z, labels))
    if k < 1:
        raise ArgumentError(f"k must be at least 1, got {k}")
    if not bool(z.isfinite().all()):
        raise ArgumentError("an identity vector is not finite")
    _, person, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    queries = (counts[person] > 1).nonzero()[:, 0]
    if not queries.numel():
        raise ArgumentError(
            "identification needs a person with two pictures",
            f"{len(z)} pictures of {len(counts)} people",
            hint="take at least two pictures of each person",
        )
    first, elected = [], []
    for rows in blocks(len(queries), len(z)):
        asked = queries[rows]
        cosines = z[asked] @ z.T
        cosines[torch.arange(len(asked), device=z.device), asked] = -torch.inf
        own = person[asked]
        first += _share_of(own, person, cosines >= cosines.amax(1, keepdim=True) - TIE)
        elected += _elected(own, person, cosines, min(k, len(z) - 1), len(counts))
    # fsum is exact, whatever the order of the shares.
    rank1, vote = math.fsum(first) / len(queries), math.fsum(elected) / len(queries)
    return Identification(rank1=rank1, vote=vote, k=k, queries=len(queries))


def _share_of(own: Tensor, person: Tensor, among: Tensor) -> list[float]:
    """The right person's share of the marked pictures, for each query. own [Q], person [N], among [Q, N] → Q shares."""
    right = among & (person[None, :] == own[:, None])
    return (right.sum(1).double() / among.sum(1)).tolist()


def _votes(cosines: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Votes of each picture for each query: one above the k-th cosine, a share at it.

    Args:
        cosines: [Q, N].
        k: votes of a query.

    Returns:
        Votes as whole numbers of parts, so that their sums are exact, float64 [Q, N]; parts of a vote [Q, 1].
    """
    bar = cosines.topk(k, dim=1).values[:, -1:]
    nearer, level = cosines > bar + TIE, (cosines - bar).abs() <= TIE
    parts = level.sum(1, keepdim=True)
    left = k - nearer.sum(1, keepdim=True)
    return (nearer * parts + level * left).double(), parts


def _elected(own: Tensor, person: Tensor, cosines: Tensor, k: int, people: int) -> list[float]:
    """The right person's share of the election, for each query. own [Q], person [N], cosines [Q, N] → Q shares."""
    votes, parts = _votes(cosines, k)
    empty = votes.new_zeros(len(own), people)
    heard = empty.index_add(1, person, votes)
    nearness = empty.index_add(1, person, votes * cosines.nan_to_num(neginf=0.0))
    nearness = nearness.masked_fill(heard < heard.amax(1, keepdim=True), -torch.inf)
    # Each of k votes may be off by TIE.
    winners = nearness >= nearness.amax(1, keepdim=True) - TIE * k * parts
    right = winners.gather(1, own[:, None])[:, 0]
    return (right.double() / winners.sum(1)).tolist()
