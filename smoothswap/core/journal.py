"""A file of JSON lines that remembers what a long run has done, so that a stopped run goes on where it was.

The first line holds the settings, every further one a finished item. A line is added when its item is on disk; a line
cut off by a crash is ignored, and its item done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.files import from_json, json_bytes, write_aside
from smoothswap.core.old_names import EMBEDDER, renamed

Row = Mapping[str, Any]


class Journal:
    """The finished items of a run by their key, open for adding while it is entered.

    Args:
        path: the file; made when it is entered.
        settings: what the items depend on, plain JSON values.
        key: field of a row that names its item.
        holds: what the items are, in a word, for messages.

    Attributes:
        rows: the finished items by their key.

    Raises:
        InputError: the file was written with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, key: str, holds: str) -> None:
        self.path, self.key, self.holds = path, key, holds
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.rows: dict[str, Row] = {}
        self._file: IO[bytes] | None = None
        if path.exists():
            self._read()

    def _read(self) -> None:
        lines = self.path.read_text("utf-8", errors="replace").splitlines()
        made = _parsed(lines[0]).get("settings") if lines else None
        if isinstance(made, dict):
            made = {key: renamed(value, EMBEDDER) if isinstance(value, dict) else value for key, value in made.items()}
        else:
            made = None
        if made is not None and made != self.settings:
            differing = [key for key in {*made, *self.settings} if made.get(key) != self.settings.get(key)]
            raise InputError(
                f"{str(self.path.parent)!r} holds {self.holds} made with other settings",
                *(f"{key}: {made.get(key)!r} then, {self.settings.get(key)!r} now" for key in sorted(differing)),
                hint="use the same settings to continue, or name another folder",
            )
        found = (_parsed(line) for line in lines[1:])
        self.rows = {row[self.key]: row for row in found if isinstance(row.get(self.key), str)}

    def __enter__(self) -> Self:
        """Open for adding: written anew first, without what a crash left behind."""
        self.write()
        self._file = self.path.open("ab")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, *rows: Row) -> None:
        """Add finished items and hand them to the system.

        Raises:
            WorkError: the disk is full, or the journal is not open.
        """
        if self._file is None:
            raise WorkError(f"{str(self.path)!r} is not open", hint="enter the journal first: `with journal:`")
        self.rows.update({row[self.key]: row for row in rows})
        try:
            self._file.write(b"".join(map(_line, rows)))
            self._file.flush()
        except OSError as cause:
            raise WorkError(
                f"could not write {str(self.path)!r}", str(cause), hint="free some space, then continue"
            ) from cause

    def write(self) -> None:
        """Write the whole file, one line an item."""
        with write_aside(self.path) as aside, aside.open("wb") as file:
            file.writelines(map(_line, ({"settings": self.settings}, *self.rows.values())))


def read_rows(path: Path) -> list[Row]:
    """The finished items of a journal, of any settings; none where there is no such file."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [row for row in map(_parsed, lines[1:]) if row]


def _line(row: Row) -> bytes:
    return json_bytes(row) + b"\n"


def _parsed(line: str) -> dict[str, Any]:
    try:
        row = from_json(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
