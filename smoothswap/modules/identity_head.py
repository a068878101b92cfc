"""The end of an identity embedder: features to unit vectors."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.core.errors import ArgumentError

HeadKind = Literal["mlp", "linear", "plain"]


def unit_vectors(features: torch.Tensor) -> torch.Tensor:
    """Features [B, D] -> vectors [B, D] of length one, at least of single precision."""
    # Under autocast they have half precision, in which a length of one would only be one to three digits.
    return F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=1)


def check_batch_norm(embedder: nn.Module, count: int, hint: str = "call .eval() to embed a single image") -> None:
    """Refuse a batch of which BatchNorm can take no statistics.

    Raises:
        ArgumentError: a single image while training.
    """
    if embedder.training and count == 1:
        raise ArgumentError(
            "an embedder with BatchNorm cannot train on a batch of one image",
            "BatchNorm needs the statistics of two images or more",
            hint=f"Use a larger batch, {hint}.",
        )


class IdentityHead(nn.Module):
    """Features [B, F] -> unit vectors [B, D].

    Args:
        features: F.
        dim: D.
        kind: `mlp`: Linear, BatchNorm, LeakyReLU, Linear, BatchNorm, as in Smooth-Swap; `linear`: Linear, BatchNorm,
            as is usual with ArcFace; `plain`: Linear alone, which also trains with a single image.
        hidden: width of the hidden layer of `mlp`.
    """

    def __init__(self, features: int, dim: int, kind: HeadKind = "mlp", hidden: int = 1024) -> None:
        super().__init__()
        layers: list[nn.Module]
        if kind == "mlp":
            layers = [
                nn.Linear(features, hidden),
                nn.BatchNorm1d(hidden),
                nn.LeakyReLU(0.2),
                nn.Linear(hidden, dim),
                nn.BatchNorm1d(dim),
            ]
        elif kind == "linear":
            layers = [nn.Linear(features, dim), nn.BatchNorm1d(dim)]
        else:
            layers = [nn.Linear(features, dim)]
        self.layers = nn.Sequential(*layers)
        self.needs_batch = kind != "plain"

    def check_batch(self, count: int) -> None:
        """Refuse a batch of which BatchNorm can take no statistics; to be asked before the trunk's own BatchNorms.

        Raises:
            ArgumentError: a single image while training.
        """
        if self.needs_batch:
            check_batch_norm(self, count, "call .eval() to embed a single image, or build it with head='plain'")

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [B, F] -> unit vectors [B, D], at least of single precision.

        Raises:
            ArgumentError: a single image while training.
        """
        self.check_batch(features.shape[0])
        return unit_vectors(self.layers(features))
