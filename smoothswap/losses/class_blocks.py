"""From what size on a classification head takes its people in blocks."""

from __future__ import annotations

from torch import Tensor

# Logits, about 5 copies of which are held at a time otherwise: 64 MiB each.
_MOST = 1 << 24


def too_large(embeddings: Tensor, weight: Tensor) -> bool:
    """Whether the logits of embeddings [N, D] and people [P, D] are too many to hold whole."""
    return embeddings.shape[0] * weight.shape[0] > _MOST
