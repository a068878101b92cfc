"""What a loss of the swapper gets to see, and how it says what it needs.

Shapes: B pictures of S × S pixels, D length of an identity vector, E frozen embedders.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

Need = Literal["identity", "second_embedder", "logits", "truth", "masks"]
"""What a loss can declare in its attribute `needs`, and what the trainer then puts into the batch:

    identity           `z_swapped` and `z_source`, by at least one frozen embedder
    second_embedder    the same, by at least two of them
    logits             `logits` of the discriminator
    truth              `truth`; the loss gets only the pictures whose true swap the data set knows
    masks              `face` and `head`, likewise
"""


@dataclass(frozen=True)
class SwapBatch:
    """One part of a batch after the generator's pass. Pictures are [B, 3, S, S], RGB in [-1, 1].

    Attributes:
        swapped: the generator's output, with its graph.
        target: the pictures that were swapped into.
        source: the pictures of the people that were put in.
        self_pair: bool [B], pairs whose source is their target.
        z_swapped: identity vectors of `swapped` by each frozen embedder, E × [B, D_e], with their graph.
        z_source: those of `source`, without; with the recipe's `blend_identities`, of some pairs between two sources.
        logits: [B, 1] of the discriminator on `swapped`, positive for real; None where no loss needs them.
        truth: the true swaps, where the data set knows them.
        face: [B, 2, S, S], share of each pixel, 0 … 1, that is face in the target and in the true swap.
        head: the same of the head.
    """

    swapped: Tensor
    target: Tensor
    source: Tensor
    self_pair: Tensor
    z_swapped: tuple[Tensor, ...] = ()
    z_source: tuple[Tensor, ...] = ()
    logits: Tensor | None = None
    truth: Tensor | None = None
    face: Tensor | None = None
    head: Tensor | None = None

    def __len__(self) -> int:
        return len(self.swapped)

    def select(self, rows: Tensor | slice) -> SwapBatch:
        """Some of the pictures: a mask, indices [N] or a slice."""

        def some(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(some(item) for item in value)
            return value[rows] if isinstance(value, Tensor) else value

        return replace(self, **{field.name: some(getattr(self, field.name)) for field in fields(self)})


@runtime_checkable
class SwapLoss(Protocol):
    """A loss of the swapper, by name in a recipe.

    An attribute `needs: tuple[Need, ...]` says what must be in the batch; without one, pictures are enough.
    """

    def __call__(self, batch: SwapBatch) -> Tensor:
        """The mean over the batch, a scalar."""
