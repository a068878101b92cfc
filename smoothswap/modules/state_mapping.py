"""Renaming the tensors of a foreign state dict, strictly: every key is used once, none is left, every shape fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import nn

from smoothswap.core.errors import CheckpointError

SHOWN = 8


class StateMapping:
    """Collects, tensor by tensor, a state dict under new names.

    Args:
        state: the foreign tensors by name.
        origin: whose they are, for the errors.
    """

    def __init__(self, state: Mapping[str, torch.Tensor], origin: str) -> None:
        self._left = dict(state)
        self._mapped: dict[str, torch.Tensor] = {}
        self._missing: list[str] = []
        self._origin = origin

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def drop(self, key: str) -> None:
        """Leave out a foreign tensor that has no counterpart; it need not be there."""
        self._left.pop(key, None)

    def tensor(self, key: str, name: str) -> None:
        """Map one tensor."""
        self.joined([key], name)

    def layer(self, key: str, name: str, *, bias: bool = True) -> None:
        """Map `key.weight` and `key.bias`."""
        self.tensor(f"{key}.weight", f"{name}.weight")
        if bias:
            self.tensor(f"{key}.bias", f"{name}.bias")

    def joined(
        self,
        keys: Sequence[str],
        name: str,
        transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        """Map several tensors, each transformed, to one: their concatenation along the first axis."""
        parts = []
        for key in keys:
            if key not in self._left:
                self._missing.append(key)
                continue
            part = self._left.pop(key)
            parts.append(part if transform is None else transform(part))
        if len(parts) == len(keys):
            self._mapped[name] = parts[0] if len(parts) == 1 else torch.cat(parts)

    def set(self, name: str, value: torch.Tensor) -> None:
        """Give a tensor that the foreign state dict does not have."""
        self._mapped[name] = value

    def same_names(self, module: nn.Module, prefix: str = "") -> None:
        """Map every tensor of `module` from the foreign one of its name; `prefix` stands before the new names.

        Files from before BatchNorm counted batches have no `num_batches_tracked`: the module's own is taken.
        """
        for name, value in module.state_dict().items():
            if name.endswith("num_batches_tracked") and name not in self:
                self.set(prefix + name, value)
            else:
                self.tensor(name, prefix + name)

    def keep(self, module: nn.Module, prefix: str) -> None:
        """Take the tensors of `module` whose names start with `prefix.` from the module itself."""
        for name, value in module.state_dict().items():
            if name.startswith(f"{prefix}."):
                self.set(name, value)

    def finish(self, module: nn.Module) -> dict[str, torch.Tensor]:
        """The state dict for `module`.

        Raises:
            CheckpointError: foreign keys are missing or left over, or shapes differ from those of `module`.
        """
        wanted = module.state_dict()
        facts = [
            *_listed("missing", self._missing),
            *_listed("unexpected", self._left),
            *_listed(
                "the model has, the file has not", wanted.keys() - self._mapped.keys() if not self._missing else ()
            ),
            *_listed("the file has, the model has not", self._mapped.keys() - wanted.keys()),
            *_listed(
                "other shape",
                (
                    f"{name} {list(self._mapped[name].shape)}, the model wants {list(wanted[name].shape)}"
                    for name in wanted.keys() & self._mapped.keys()
                    if wanted[name].shape != self._mapped[name].shape
                ),
            ),
        ]
        if facts:
            raise CheckpointError(
                f"the weights are not those of {self._origin} with the options of this {type(module).__name__}",
                *facts,
                hint="Build the model with the options with which the weights were trained.",
            )
        return {name: self._mapped[name].to(wanted[name].dtype).contiguous() for name in wanted}


def _listed(title: str, keys: Iterable[str]) -> list[str]:
    ordered = sorted(keys)
    if not ordered:
        return []
    more = f", and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return [f"{title} ({len(ordered)}): {', '.join(ordered[:SHOWN])}{more}"]
