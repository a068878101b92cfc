"""The best weights of a training so far, by one measured figure, and how long nothing was better."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from smoothswap.modules import weights
from smoothswap.modules.cosines import TIE

MONITORS = {
    "auc": True,
    "auc_shape": True,
    "tar_at_far": True,
    "knn_rank1": True,
    "alignment": False,
    "uniformity": False,
    "d_smooth": False,
}
"""The figures of a validation that can be watched, and whether larger is better. `tar_at_far` is that at any rate."""


def monitored(values: Mapping[str, float], monitor: str) -> float | None:
    """The watched figure among those of a validation; None where it could not be measured."""
    return next((value for name, value in values.items() if name == monitor or name.startswith(f"{monitor}_1e")), None)


class Best:
    """Keeps a copy of a model from the validation with the best figure.

    Args:
        monitor: one of `MONITORS`.
        patience: validations without a better figure after which there have been enough; None: never.
    """

    def __init__(self, monitor: str, patience: int | None) -> None:
        self.monitor, self.patience = monitor, patience
        self.value: float | None = None
        self.images = 0
        self.stale = 0
        self.module: nn.Module | None = None

    def offer(self, values: Mapping[str, float], images: int, module: nn.Module) -> bool:
        """Take in one validation; returns whether it is the best so far. One that is only as good is not better.

        Figures within `TIE` are as good: their last bits depend on the processor.
        """
        value = monitored(values, self.monitor)
        sign = 1 if MONITORS[self.monitor] else -1
        better = value is not None and (self.value is None or sign * (value - self.value) > TIE)
        if not better:
            self.stale += 1
            return False
        self.value, self.images, self.stale = value, images, 0
        self.module = copy.deepcopy(module)
        return True

    @property
    def enough(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.stale >= self.patience

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs; the weights too, so that file and figures cannot part."""
        held = None if self.module is None else self.module.state_dict()
        return {"value": self.value, "images": self.images, "stale": self.stale, "weights": held}

    def restore(self, state: Mapping[str, Any], like: nn.Module) -> None:
        """Return to a state; `like` is a model of the same shape.

        Raises:
            CheckpointError: weights that do not fit.
        """
        self.value, self.images, self.stale = state["value"], state["images"], state["stale"]
        self.module = None if state["weights"] is None else copy.deepcopy(like)
        if self.module is not None:
            weights.load_into(self.module, state["weights"], where="checkpoint: best embedder")
