"""The parts that recipes are made of: components by name, losses with a weight, data sets with a share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smoothswap.core.config import Options, option


@dataclass(frozen=True)
class Part(Options):
    """A component by name, with the options that differ from its defaults."""

    name: str = option(help="name of the component, as in `smoothswap list`")
    options: Mapping[str, Any] = option({}, "its options, as in `smoothswap describe`")

    def __post_init__(self) -> None:
        super().__post_init__()
        # JSON gives lists where options are tuples; a recipe is to equal itself after a trip through a file.
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in self.options.items()}
        object.__setattr__(self, "options", plain)


@dataclass(frozen=True)
class LossTerm(Part):
    """A loss of the swapper by name, and how much it counts after so many images.

    The weight is `weight_before` up to `changes_at` images, and goes to `weight` over the next `changes_over` images,
    linearly. Where both are 0 it is `weight` from the start.
    """

    weight: float = option(1.0, "factor of the loss in the sum", at_least=0)
    weight_before: float = option(0.0, "the factor until changes_at", at_least=0)
    changes_at: int = option(0, "images after which the factor goes from weight_before to weight", at_least=0)
    changes_over: int = option(0, "images over which it does; 0: at once", at_least=0)

    def weight_at(self, images: int) -> float:
        """The factor after so many images."""
        if images < self.changes_at:
            return self.weight_before
        if images >= self.changes_at + self.changes_over:
            return self.weight
        share = (images - self.changes_at) / self.changes_over
        return self.weight_before + share * (self.weight - self.weight_before)


@dataclass(frozen=True)
class DataShare(Part):
    """A further data set by name, and its share of every batch."""

    share: float = option(0.5, "share of a batch's images", above=0, below=1)
