"""Millions of names in two tensors, which worker processes share instead of copying."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]


class NameTable(Sequence[str]):
    """N file names, decoded as the file system's when they are asked for.

    Args:
        text: uint8 [T], all names one after another.
        ends: [N + 1] where each name begins, and where the last one ends.

    Raises:
        ValueError: places that are not in order or not those of the text.
    """

    def __init__(self, text: Array, ends: Array) -> None:
        if len(ends) < 1 or ends[0] != 0 or ends[-1] != len(text) or (np.diff(ends) < 0).any():
            raise ValueError("the places of the names do not fit their text")
        small = len(text) <= np.iinfo(np.int32).max
        self.text: Tensor = torch.from_numpy(np.require(text, np.uint8, ["C", "W"]))
        self.ends: Tensor = torch.from_numpy(np.require(ends, np.int32 if small else np.int64, ["C", "W"]))

    @classmethod
    def of(cls, names: Iterable[bytes]) -> NameTable:
        """A table of names as the system gives them."""
        text = bytearray()
        ends = [0]
        for name in names:
            text += name
            ends.append(len(text))
        return cls(np.frombuffer(bytes(text), np.uint8).copy(), np.array(ends, np.int64))

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return os.fsdecode(self.raw(index))

    def raw(self, index: int) -> bytes:
        """Name `index` as the system gives it.

        Raises:
            IndexError: there is no such name.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        first, last = self.ends[index % len(self) :][:2].tolist()
        return self.text[first:last].numpy().tobytes()

    def every(self) -> list[bytes]:
        """All names as the system gives them; for tables that are small enough."""
        text, ends = self.text.numpy().tobytes(), self.ends.tolist()
        return [text[first:last] for first, last in pairwise(ends)]

    def __iter__(self) -> Iterator[str]:
        return map(os.fsdecode, self.every())

    def stretch(self, first: int, last: int) -> tuple[Array, Array]:
        """Text [T'] and lengths [last − first] of consecutive names."""
        ends = self.ends.numpy()[first : last + 1]
        return self.text.numpy()[ends[0] : ends[-1]], np.diff(ends)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NameTable):
            return torch.equal(self.text, other.text) and torch.equal(self.ends, other.ends)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def join_names(pieces: list[tuple[Array, Array]]) -> tuple[NameTable, Array]:
    """One table of the names of several.

    Args:
        pieces: S pairs of text [T] and lengths [n] (see `NameTable.stretch`).

    Returns:
        The table, and int64 [S + 1] where the names of each piece begin.
    """
    text = np.concatenate([text for text, _ in pieces])
    ends = np.concatenate([[0], np.cumsum(np.concatenate([lengths for _, lengths in pieces]))]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum([len(lengths) for _, lengths in pieces])]).astype(np.int64)
    return NameTable(text, ends), starts
