"""The checks of injections: of their two tensors, which every one makes, and of one that a generator is built with."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from smoothswap.core.errors import PluginError
from smoothswap.modules.shapes import check_features, check_vectors


def check_injection(features: torch.Tensor, embedding: torch.Tensor, channels: int, dim: int) -> None:
    """Raise ArgumentError unless features are [B, channels, H, W] and the embedding is [B, dim]."""
    check_features(features, channels)
    check_vectors(embedding, dim, features.shape[0], "embedding")


@torch.no_grad()
def check_contract(injection: nn.Module, name: str, channels: int, dim: int) -> None:
    """Try an injection on zeros as a residual block will use it (see `core.interfaces.Injection`).

    One without a convolution is warned of: the block trains, but lacks the half of its weights that the injection is to
    bring. That it mixes neighbours in another way cannot be seen from outside.

    Args:
        injection: the module.
        name: of the component.
        channels: C of the features.
        dim: length E of the embedding.

    Raises:
        PluginError: its output is no tensor of the features' shape.
    """
    like = next(injection.parameters(), torch.empty(0, dtype=torch.float32))
    features = torch.zeros(1, channels, 4, 4, device=like.device, dtype=like.dtype)
    training = injection.training
    try:
        given = injection.eval()(features, features.new_zeros(1, dim))
    finally:
        injection.train(training)
    if not isinstance(given, torch.Tensor) or given.shape != features.shape:
        found = list(given.shape) if isinstance(given, torch.Tensor) else f"a {type(given).__name__}"
        raise PluginError(
            f"the injection {name!r} gave {found}, expected {list(features.shape)}",
            "expected of every injection: the shape of its features [B, C, H, W]",
            hint="this has to be put right in the injection",
        )
    if not any(weight.dim() == 4 and weight.shape[2:].numel() > 1 for weight in injection.parameters()):
        warnings.warn(
            f"the injection {name!r} has no convolution: it is to do normalisation, activation, dropout and the second "
            "3x3 convolution of its block (docs/models.md, Injections)",
            stacklevel=2,
        )
