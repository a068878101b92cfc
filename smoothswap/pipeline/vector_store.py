"""Identity vectors on disk while they are made, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smoothswap.core.journal import Journal, Row

Vector = npt.NDArray[np.float32]
Stamp = tuple[int, int]
"""A file's size in bytes and its time of change in nanoseconds."""


class VectorStore:
    """Vectors by image path, in a journal; open for adding while it is entered.

    Args:
        path: the file; made where it is missing.
        settings: what the vectors depend on, plain JSON values.

    Raises:
        InputError: the file holds vectors that were made with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._journal = Journal(path, settings, key="image", holds="vectors")

    def __enter__(self) -> Self:
        """Open for adding."""
        self._journal.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._journal.__exit__(kind, value, at)

    def is_done(self, image: str, stamp: Stamp) -> bool:
        """Whether that very file has its vector, or the reason why it has none."""
        row = self._journal.rows.get(image)
        done = row is not None and ("reason" in row or _decoded(row) is not None)
        return done and row is not None and row.get("stamp") == list(stamp)

    def vector(self, image: str) -> Vector | None:
        """The unit vector float32 [D] of an image, or None where it has none."""
        row = self._journal.rows.get(image)
        return None if row is None else _decoded(row)

    def reason(self, image: str) -> str:
        """Why an image has no vector; empty where it has one."""
        return str(self._journal.rows.get(image, {}).get("reason", ""))

    def add(
        self, vectors: Iterable[tuple[str, Stamp, Vector]], failures: Iterable[tuple[str, Stamp, str]] = ()
    ) -> None:
        """Add images with their unit vectors [D], and images that have none with the reason.

        Raises:
            WorkError: the disk is full.
        """
        rows: list[Row] = [{"image": name, "stamp": list(stamp), "vector": _encoded(z)} for name, stamp, z in vectors]
        rows += [{"image": name, "stamp": list(stamp), "reason": reason} for name, stamp, reason in failures]
        self._journal.add(*rows)


def _encoded(vector: Vector) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def _decoded(row: Mapping[str, Any]) -> Vector | None:
    try:
        return np.frombuffer(base64.b64decode(row["vector"], validate=True), dtype="<f4").astype(np.float32)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
