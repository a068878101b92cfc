"""The options that every injection has."""

from __future__ import annotations

from dataclasses import dataclass

from smoothswap.core.config import Options, option


@dataclass(frozen=True, kw_only=True)
class InjectionOptions(Options):
    """What a generator tells the injection of a block."""

    channels: int = option(help="channels C of the features [B, C, H, W]", at_least=1)
    embedding_dim: int = option(help="length E of the embedding [B, E]", at_least=1)
    dropout: float = option(0.0, "share of the features that is dropped in training", at_least=0.0, below=1.0)
    init_scale: float = option(0.0, "variance scale of what the block adds at first; 0 is near zero", at_least=0.0)
