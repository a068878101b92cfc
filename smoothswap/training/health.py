"""The health panel of a swapper: whether it swaps, and whether the two networks are in balance.

"It trains but it does not swap" looks like success in every loss but one: the output copies the target, the change
loss is near 0, the discriminator is content. The panel puts the numbers that tell side by side, and says so aloud.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from smoothswap.core.errors import WorkError
from smoothswap.modules.cosines import TIE

_SMOOTHING = 0.7  # share of the old value kept from one line of the log to the next
_WON = 0.995  # accuracy from which the discriminator counts as having won
_PATIENCE = 5  # lines of the log for which it must have won before that is an alarm


class Health:
    """Follows the means of the log's lines and tells what is wrong.

    Args:
        copy_alarm_after: images after which an output nearer to the target's person than to the source's is an alarm.
    """

    def __init__(self, copy_alarm_after: int) -> None:
        self.copy_alarm_after = copy_alarm_after
        self.values: dict[str, float] = {}
        self._won = 0
        self._told: list[str] = []

    def update(self, means: Mapping[str, float], images: int) -> list[str]:
        """Take in one line of the log.

        Args:
            means: `similarity_source` and `similarity_target`, cosines by the training embedder; `psnr_target`, dB;
                `accuracy_real` and `accuracy_fake` of the discriminator, 0 to 1.
            images: images seen.

        Returns:
            Alarms that were not raised yet, or that are raised again after the trouble had gone.
        """
        for name in ("similarity_source", "similarity_target", "psnr_target", "accuracy_real", "accuracy_fake"):
            if name in means:
                old = self.values.get(name, means[name])
                self.values[name] = _SMOOTHING * old + (1 - _SMOOTHING) * means[name]
        troubles = {name: text for name, text in (self._copies(images), self._won_by_discriminator(means)) if text}
        news = [text for name, text in troubles.items() if name not in self._told]
        self._told = list(troubles)
        return news

    def _copies(self, images: int) -> tuple[str, str]:
        source, target = self.values.get("similarity_source"), self.values.get("similarity_target")
        if source is None or target is None or images < self.copy_alarm_after or source > target + TIE:
            return "copies", ""
        return "copies", (
            f"the output copies the target: after {images:,} images it is no nearer to the source's person "
            f"({source:.2f}) than to the target's ({target:.2f}). "
            "Lower losses.change.weight, raise losses.identity.weight, or check that the embedder tells people apart."
        )

    def _won_by_discriminator(self, means: Mapping[str, float]) -> tuple[str, str]:
        both = min(means.get("accuracy_real", 0.0), means.get("accuracy_fake", 0.0))
        self._won = self._won + 1 if both >= _WON else 0
        if self._won < _PATIENCE:
            return "won", ""
        return "won", (
            f"the discriminator has won: it tells real from swapped in {100 * both:.0f} % of the images, so the "
            "generator learns nothing from it. Lower discriminator_learning_rate or raise r1_gamma."
        )

    def line(self) -> str:
        """The panel in one line."""
        if not self.values:
            return "nothing measured yet"
        value = {name: f"{number:.2f}" for name, number in self.values.items()}
        said = (
            f"cosine to source {value.get('similarity_source', '–')}, to target {value.get('similarity_target', '–')}"
            f" · {self.values.get('psnr_target', math.nan):.1f} dB to the target picture"
        )
        if "accuracy_real" not in value:  # no discriminator, or one that rests
            return said
        return f"{said} · D right on real {value['accuracy_real']}, on swapped {value['accuracy_fake']}"

    def state(self) -> dict[str, Any]:
        """What a resumed training needs to go on alike."""
        return {"values": dict(self.values), "won": self._won, "told": list(self._told)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state."""
        self.values, self._won, self._told = dict(state["values"]), state["won"], list(state["told"])


def check_weights(networks: Mapping[str, nn.Module], images: int, hint: str = "") -> None:
    """Stop a training whose networks hold a weight or an average that is not finite.

    One transfer from the device for all of them. Arguments and errors as of `check_finite`; the message names up to
    five tensors.
    """
    tensors = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
        if value.is_floating_point()
    }
    if not tensors:
        return
    good = torch.stack([value.isfinite().all() for value in tensors.values()]).tolist()
    bad = [name for name, finite in zip(tensors, good, strict=True) if not finite]
    if bad:
        check_finite({name: float(tensors[name].detach().float().sum()) for name in bad[:5]}, images, hint)


def check_finite(means: Mapping[str, float], images: int, hint: str = "") -> None:
    """Stop a training whose numbers are no longer finite.

    Args:
        means: numbers by their names.
        images: images seen.
        hint: what to do about it.

    Raises:
        WorkError: a mean is infinite or not a number; the last checkpoint stays as it is.
    """
    bad = [f"{name} = {value}" for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise diverged(images, bad, hint)


def diverged(images: int, facts: Sequence[str], hint: str = "") -> WorkError:
    """The error of a training whose numbers are no longer finite, after so many images."""
    return WorkError(
        f"the training diverged after {images:,} images",
        *facts,
        hint=hint or "try a lower learning rate, or clip_gradients=1",
    )
