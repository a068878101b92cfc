"""Identity as a judge sees it: cosines, and which of two people a swapped face is nearer to.

A judge alone is easily fooled (a tint over the whole picture can be enough), so these figures are only worth
something beside those of `fidelity`. B faces, D identity dimensions.
"""

from __future__ import annotations

from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.modules.cosines import TIE, sum_in_order, unit_vectors


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of two identity vectors each [B, D], of any length above 0 → [B], from -1 to 1.

    The same bits on every processor.

    Raises:
        ArgumentError: the shapes differ or are not [B, D].
    """
    if a.ndim != 2 or a.shape != b.shape:
        raise ArgumentError(f"identity vectors must be two tensors [B, D], got {list(a.shape)} and {list(b.shape)}")
    return sum_in_order(unit_vectors(a) * unit_vectors(b))


def nearer_to_source(swapped: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Whether each swapped face is nearer to its source than to its target.

    Strictly nearer, by more than `TIE`: a face that is as near to the one as to the other has not been swapped.

    Args:
        swapped: identity vectors of the swapped faces [B, D].
        source: of the people that were to be put in [B, D].
        target: of the people who were there [B, D].

    Returns:
        bool [B].

    Raises:
        ArgumentError: the shapes differ or are not [B, D].
    """
    return similarity(swapped, source) > similarity(swapped, target) + TIE
