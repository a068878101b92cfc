"""The list of what an alignment run has done, kept beside its crops as `manifest.jsonl`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from smoothswap.core.errors import InputError
from smoothswap.core.journal import Journal
from smoothswap.data.crop_points import MANIFEST


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One source image.

    Args:
        source: its path below the source folder, with forward slashes.
        stamp: its size in bytes and its time of change in nanoseconds, to notice another file of that name.
        crops: what was written: `file` below the output folder, `box`, `score`, `side` of the square in pixels, and
            `points`, the face's five points in the crop as shares of its side.
        failure: why nothing was written; empty where something was.
    """

    source: str
    stamp: tuple[int, int]
    crops: tuple[Mapping[str, Any], ...] = ()
    failure: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The files written, below the output folder."""
        return tuple(crop["file"] for crop in self.crops)


class Manifest:
    """The manifest of an output folder, open for adding entries while it is entered."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Read what is there.

        Raises:
            InputError: the folder holds something else, or crops made with other settings.
        """
        self.folder = folder
        path = folder / MANIFEST
        if not path.exists() and folder.is_dir() and any(folder.iterdir()):
            raise InputError(
                f"{str(folder)!r} is not empty and holds no crops of an earlier run",
                hint="name an empty or a new folder",
            )
        self._journal = Journal(path, settings, key="source", holds="crops")
        read = (_entry(row) for row in self._journal.rows.values())
        self.entries = {entry.source: entry for entry in read if entry is not None}
        self._journal.rows = {source: dataclasses.asdict(entry) for source, entry in self.entries.items()}

    def is_done(self, source: str, stamp: tuple[int, int]) -> bool:
        """Whether that very image was finished and its crops are still there."""
        entry = self.entries.get(source)
        return (
            entry is not None and entry.stamp == stamp and all((self.folder / file).is_file() for file in entry.files)
        )

    def __enter__(self) -> Self:
        """Open for adding."""
        self._journal.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._journal.__exit__(kind, value, at)

    def add(self, entry: Entry) -> None:
        """Add a finished image.

        Raises:
            WorkError: the disk is full.
        """
        self.entries[entry.source] = entry
        self._journal.add(dataclasses.asdict(entry))

    def write(self) -> None:
        """Write the whole manifest, one line an image."""
        self._journal.write()


def _entry(row: Mapping[str, Any]) -> Entry | None:
    try:
        entry = Entry(**{**row, "stamp": tuple(row["stamp"]), "crops": tuple(row["crops"])})
    except (KeyError, TypeError):
        return None
    whole = all(isinstance(crop, Mapping) and isinstance(crop.get("file"), str) for crop in entry.crops)
    return entry if whole and isinstance(entry.failure, str) else None
