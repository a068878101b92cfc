"""The nearest of many identity vectors, block by block. Q queries, G gallery vectors, D identity dimensions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.modules.cosines import exact_factors, first_largest, unit_vectors

_BLOCK = 2**22
"""Cosines that are held at a time, 32 MB in double precision."""


def nearest(queries: Tensor, gallery: Tensor) -> Tensor:
    """Index of the gallery vector with the largest cosine to each query; of equal ones (`TIE`) the lowest index.

    The answer is the same on every processor and number of threads. Memory grows with Q + G, not Q · G.

    Args:
        queries: identity vectors [Q, D], of any length above 0.
        gallery: identity vectors [G, D], of any length above 0.

    Returns:
        int64 [Q].

    Raises:
        ArgumentError: shapes that do not go together, an empty gallery, or vectors that are not finite.
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or not len(gallery):
        raise ArgumentError(
            "the nearest needs queries [Q, D] and a gallery [G, D], G at least 1",
            f"queries: {list(queries.shape)}",
            f"gallery: {list(gallery.shape)}",
        )
    asked, known = exact_factors(unit_vectors(queries)), exact_factors(unit_vectors(gallery))
    if not (bool(asked.isfinite().all()) and bool(known.isfinite().all())):
        raise ArgumentError("an identity vector is not finite")
    found = [first_largest(asked[rows] @ known.T) for rows in blocks(len(asked), len(known))]
    return torch.cat([*found, torch.empty(0, dtype=torch.int64, device=asked.device)])


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of 0 … rows − 1, each so long that a block of that many rows and `columns` columns is small."""
    step = max(1, _BLOCK // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
