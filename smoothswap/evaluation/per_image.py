"""Dataclasses whose tensors have one entry for each image: parts of them are taken, and batches put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Self

import torch
from torch import Tensor


class PerImage:
    """Base of dataclasses with fields that are tensors [N], such dataclasses themselves, or dicts of either."""

    def select(self, index: Tensor | Sequence[int] | slice) -> Self:
        """The values of some of the images."""
        where = index if isinstance(index, slice | Tensor) else torch.as_tensor(list(index), dtype=torch.long)
        return _join([self], lambda values: values[0][where])  # type: ignore[no-any-return]

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Several batches as one, in order; dicts must have the same keys."""
        return _join(parts, torch.cat)  # type: ignore[no-any-return]


def _join(parts: Sequence[Any], join: Any) -> Any:
    """Apply `join` to the lists of tensors that stand in the same place of each of `parts`."""
    first = parts[0]
    if isinstance(first, Tensor):
        return join(list(parts))
    if isinstance(first, dict):
        return {key: _join([part[key] for part in parts], join) for key in first}
    names = [field.name for field in fields(first)]
    return type(first)(**{name: _join([getattr(part, name) for part in parts], join) for name in names})
