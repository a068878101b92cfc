"""The losses of a swapper's recipe, built, checked against what the run has, and added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from smoothswap.core.errors import ConfigError
from smoothswap.losses.swap_batch import Need, SwapBatch
from smoothswap.training.needs import declared_needs
from smoothswap.training.parts import build_part
from smoothswap.training.recipe_parts import LossTerm

_PARTIAL = {"truth", "masks"}  # needs that some pictures of a batch may not meet


@dataclass(frozen=True)
class BuiltLoss:
    """One loss of the recipe.

    Attributes:
        name: its name in the recipe.
        term: component, weight and schedule.
        loss: the component.
        needs: what it declared.
    """

    name: str
    term: LossTerm
    loss: Any
    needs: frozenset[Need]

    def __call__(self, batch: SwapBatch, knows: Tensor) -> Tensor:
        """The loss of the pictures that it can use: those in `knows`, bool [B], where it needs the truth or masks."""
        if not self.needs & _PARTIAL or bool(knows.all()):
            return self.loss(batch)  # type: ignore[no-any-return]
        if not bool(knows.any()):
            return batch.swapped.sum() * 0
        return self.loss(batch.select(knows))  # type: ignore[no-any-return]


class LossTerms:
    """All losses of a recipe.

    Args:
        terms: the recipe's losses by name.
        has: what the run can offer, apart from the discriminator's logits.
        device: where losses with weights of their own go.

    Raises:
        ConfigError: a loss needs what the run does not have.
        PluginError: a loss declares a need that there is not.
        UnknownNameError: no such loss.
    """

    def __init__(self, terms: Mapping[str, LossTerm], has: set[Need], device: torch.device) -> None:
        self.all: list[BuiltLoss] = []
        for name, term in terms.items():
            loss = build_part(term, "swap_loss")
            needs = cast("frozenset[Need]", declared_needs(loss, f"{name!r} ({term.name})", _WORDS))
            if isinstance(loss, torch.nn.Module):
                loss.to(device)
            self.all.append(BuiltLoss(name, term, loss, needs))
        self.require(has)

    def require(self, has: set[Need]) -> None:
        """Check that the run has what the losses need, apart from the discriminator's logits.

        Raises:
            ConfigError: a loss needs what the run does not have.
        """
        for loss in self.all:
            missing = loss.needs - has - {"logits"}
            if missing:
                raise ConfigError(
                    f"the loss {loss.name!r} ({loss.term.name}) needs "
                    f"{' and '.join(_WORDS[need] for need in sorted(missing))}",
                    hint=f"{_HINTS[min(missing)]}, or leave the loss out: losses.{loss.name}=none",
                )

    def active(self, images: int) -> list[tuple[BuiltLoss, float]]:
        """The losses that count after so many images, with their weights."""
        weighted = [(loss, loss.term.weight_at(images)) for loss in self.all]
        return [(loss, weight) for loss, weight in weighted if weight > 0]

    def ever(self, need: Need) -> bool:
        """Whether a loss with that need counts at any time."""
        return any(need in loss.needs and max(loss.term.weight, loss.term.weight_before) > 0 for loss in self.all)

    def panel(self, images: int) -> str:
        """The weights as they are now, in one line."""
        return ", ".join(f"{_SIGNS.get(loss.name, loss.name)} {weight:.3g}" for loss, weight in self.active(images))


_SIGNS = {"identity": "λ_id", "change": "λ_chg"}
_WORDS: dict[Need, str] = {
    "identity": "an embedder",
    "second_embedder": "a second embedder",
    "logits": "a discriminator",
    "truth": "true swaps, which none of the data sets knows",
    "masks": "masks of face and head, which none of the data sets gives",
}
_HINTS: dict[Need, str] = {
    "identity": "name one with --embedder FILE",
    "second_embedder": "name one more with identity_embedders=FILE",
    "logits": "name one with discriminator.name=…",
    "truth": "train on, or mix in, a data set that knows them (data.name=faceworld_swaps)",
    "masks": "train on, or mix in, a data set that gives them (data.name=faceworld_swaps)",
}
