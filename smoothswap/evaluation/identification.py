"""Identification: is the picture nearest to another one of the same person?

Every picture is asked for once and left out of the gallery, which is all the others. N pictures, D identity dimensions.
Ties count by chance, so no figure depends on the order of the pictures: a constant embedder gets what guessing gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.verification import blocks, comparable, unit_vectors


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

    The k nearest have a vote each; where more pictures are exactly as near as the k-th, they share the votes that are
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
    z = unit_vectors(z, labels)
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
    first = elected = 0.0
    for rows in blocks(len(queries), len(z)):
        asked = queries[rows]
        cosines = comparable(z[asked] @ z.T)
        cosines[torch.arange(len(asked), device=z.device), asked] = -torch.inf
        own = person[asked]
        first += _share_of(own, person, cosines == cosines.amax(1, keepdim=True))
        elected += _elected(own, person, cosines, _votes(cosines, min(k, len(z) - 1)), len(counts))
    return Identification(rank1=first / len(queries), vote=elected / len(queries), k=k, queries=len(queries))


def _share_of(own: Tensor, person: Tensor, among: Tensor) -> float:
    """Sum over queries of the right person's share of the marked pictures. own [Q], person [N], among [Q, N]."""
    right = among & (person[None, :] == own[:, None])
    return float((right.sum(1).double() / among.sum(1)).sum())


def _votes(cosines: Tensor, k: int) -> Tensor:
    """Votes of each picture for each query: one above the k-th cosine, a share at it. [Q, N] → float64 [Q, N]."""
    bar = cosines.topk(k, dim=1).values[:, -1:]
    nearer, level = cosines > bar, cosines == bar
    share = (k - nearer.sum(1, keepdim=True)).double() / level.sum(1, keepdim=True)
    return nearer.double() + share * level


def _elected(own: Tensor, person: Tensor, cosines: Tensor, votes: Tensor, people: int) -> float:
    """Sum over queries of the right person's share of the election. own [Q], person [N], cosines and votes [Q, N]."""
    empty = votes.new_zeros(len(own), people)
    # Rounded, since sums of equal shares depend on their order in the last bit.
    heard = empty.index_add(1, person, votes).float()
    nearness = empty.index_add(1, person, votes * cosines.double().nan_to_num(neginf=0.0)).float()
    nearness = nearness.masked_fill(heard < heard.amax(1, keepdim=True), -torch.inf)
    winners = nearness == nearness.amax(1, keepdim=True)
    right = winners.gather(1, own[:, None])[:, 0]
    return float((right.double() / winners.sum(1)).sum())
