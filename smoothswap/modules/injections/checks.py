"""The check that every injection makes of its two tensors."""

from __future__ import annotations

import torch

from smoothswap.modules.shapes import check_features, check_vectors


def check_injection(features: torch.Tensor, embedding: torch.Tensor, channels: int, dim: int) -> None:
    """Raise ArgumentError unless features are [B, channels, H, W] and the embedding is [B, dim]."""
    check_features(features, channels)
    check_vectors(embedding, dim, features.shape[0], "embedding")
