"""The list of what an alignment run has done, kept beside its crops, so that a run can be continued.

`manifest.jsonl`: the first line holds the settings, every further line one finished source picture. A line is added
when its crops are on disk; a line cut off by a crash is ignored, and its picture done again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.files import write_aside

NAME = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One source picture.

    Args:
        source: its path below the source folder, with forward slashes.
        stamp: its size in bytes and its time of change in nanoseconds, to notice another file of that name.
        crops: what was written: `file` below the output folder, `box`, `score`, and `side` of the square in pixels.
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
    """The manifest of an output folder, open for adding entries."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Read what is there.

        Raises:
            InputError: the folder holds something else, or crops made with other settings.
        """
        self.path = folder / NAME
        self.settings = dict(settings)
        self.entries: dict[str, Entry] = {}
        if self.path.exists():
            self._read()
        elif folder.is_dir() and any(folder.iterdir()):
            raise InputError(
                f"{str(folder)!r} is not empty and holds no crops of an earlier run",
                hint="name an empty or a new folder",
            )

    def _read(self) -> None:
        lines = self.path.read_text("utf-8", errors="replace").splitlines()
        made = _parsed(lines[0]).get("settings") if lines else None
        if made is not None and made != self.settings:
            differing = [key for key in {*made, *self.settings} if made.get(key) != self.settings.get(key)]
            raise InputError(
                f"{str(self.path.parent)!r} holds crops made with other settings",
                *(f"{key}: {made.get(key)!r} then, {self.settings.get(key)!r} now" for key in sorted(differing)),
                hint="use the same settings to continue, or name another folder",
            )
        for line in lines[1:]:
            row = _parsed(line)
            try:
                entry = Entry(**{**row, "stamp": tuple(row["stamp"]), "crops": tuple(row["crops"])})
            except (KeyError, TypeError):
                continue
            self.entries[entry.source] = entry

    def is_done(self, source: str, stamp: tuple[int, int]) -> bool:
        """Whether that very picture was finished and its crops are still there."""
        entry = self.entries.get(source)
        folder = self.path.parent
        return entry is not None and entry.stamp == stamp and all((folder / file).is_file() for file in entry.files)

    def __enter__(self) -> Self:
        """Open for adding: written anew first, without what a crash left behind."""
        self.write()
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Add a finished picture.

        Raises:
            WorkError: the disk is full.
        """
        self.entries[entry.source] = entry
        try:
            self._file.write(_line(dataclasses.asdict(entry)))
            self._file.flush()
        except OSError as cause:
            raise WorkError(
                f"could not write {str(self.path)!r}", str(cause), hint="free some space, then continue"
            ) from cause

    def write(self) -> None:
        """Write the whole manifest, one line a picture."""
        with write_aside(self.path) as aside:
            rows: Iterable[Mapping[str, Any]] = (dataclasses.asdict(entry) for entry in self.entries.values())
            aside.write_text(_line({"settings": self.settings}) + "".join(map(_line, rows)), "utf-8")


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _parsed(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
