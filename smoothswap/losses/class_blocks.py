"""From what size on a classification head takes its people in blocks."""

from __future__ import annotations

from torch import Tensor

# Logits. Whole, five copies of them and one of the centres are held; blocks are quicker from less than this on.
_MOST = 1 << 20


def too_large(embeddings: Tensor, weight: Tensor) -> bool:
    """Whether the logits of embeddings [N, D] and people [P, D] are too many to hold whole."""
    return embeddings.shape[0] * weight.shape[0] > _MOST
