"""Which pictures lie below a folder: found once, kept in an index, and checked by the times of the folders alone.

A folder's times change whenever an entry is added, removed or renamed in it. So a later start asks the system for the
times of every folder, and lists only those anew whose times differ. That does not see a file that was overwritten in
place, which changes no name; nor a link whose target turned from a file into a folder.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from smoothswap.core.errors import InputError
from smoothswap.core.files import json_bytes
from smoothswap.core.picture_files import SUFFIXES, added_up, counted
from smoothswap.core.progress import Count, counting
from smoothswap.data.crop_points import MANIFEST
from smoothswap.data.index_file import Array, IndexFile, settled, subject_of
from smoothswap.data.name_table import NameTable, join_names
from smoothswap.data.origin import REPORT

_log = logging.getLogger(__name__)
_KIND = "pictures 2"
_ENDINGS = frozenset(suffix.encode() for suffix in SUFFIXES)
_OURS = frozenset(name.encode() for name in (MANIFEST, REPORT))
_UNSURE = (-1, -1)  # times that no folder has: it is listed again
_Entries = tuple[list[bytes], list[bytes], Counter[str]]
"""Names of the pictures and of the sub-folders of a folder, and how many other files it has by their suffix."""


@dataclass(frozen=True)
class Listing:
    """D folders in order of depth-first descent, each with its N pictures: those of a folder before its sub-folders'.

    Args:
        folders: [D] paths relative to the top, with `/`; the first is the top itself, an empty name.
        files: [N] names.
        starts: int64 [D + 1] where the files of each folder begin.
        subs: names of the sub-folders of all folders.
        sub_starts: int64 [D + 1] where those of each folder begin.
        times: int64 [D, 2] time of the last change of content and of status of each folder, ns.
        others: [D] the other files of each folder, as JSON: their number by suffix, in small letters. Empty for none.
        unread: sub-folders that could not be read, and why; found anew at each start.

    Raises:
        ValueError: arrays that do not fit each other.
    """

    folders: NameTable
    files: NameTable
    starts: Array
    subs: NameTable
    sub_starts: Array
    times: Array
    others: NameTable
    unread: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for starts, table in ((self.starts, self.files), (self.sub_starts, self.subs)):
            fits = len(starts) == len(self.folders) + 1 and starts[0] == 0 and starts[-1] == len(table)
            if not fits or (np.diff(starts) < 0).any() or self.times.shape != (len(self.folders), 2):
                raise ValueError("the folders and their files do not fit")
        if len(self.others) != len(self.folders):
            raise ValueError("the folders and their other files do not fit")

    @functools.cached_property
    def left_out(self) -> Counter[str]:
        """The files that are no pictures: their number by suffix. Hidden ones do not count, nor what `align` writes."""
        return added_up(self.others.every())

    def report(self, folder: Path) -> None:
        """Tell through `logging` what was left out, where anything was."""
        if self.left_out:
            _say_left_out(folder, counted(self.left_out))


@functools.cache  # a training reads the same folder several times
def _say_left_out(folder: Path, what: str) -> None:
    _log.warning("left out of %s: %s", folder, what)


def list_pictures(folder: Path, index: str | None = None, skip: Path | None = None) -> Listing:
    """All picture files below a folder, by their suffixes; hidden files and folders are passed over, others counted.

    Links to folders are followed, each real folder once. A sub-folder that may not be read is reported and left out.

    Args:
        folder: the top.
        index: `auto`, a path, or None for none.
        skip: a folder that is passed over where it lies below the top.

    Raises:
        InputError: there is no such folder, or it may not be read.
        ConfigError: `index` names a file that is no index.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {str(folder)!r}", "it is a file" if folder.exists() else "the path does not exist"
        )
    file = IndexFile(index, _KIND, subject_of(folder))
    old = _load(file)
    with counting(f"listing {folder}", unit="files") as count:
        found, unread = _walk(os.fsencode(folder), old, skip, count)
    if old is not None and all(type(item.entries) is int for item in found) and len(found) == len(old.folders):
        return replace(old, unread=unread)
    listing = replace(_assemble(found, old), unread=unread)
    file.save(_arrays(listing), len(listing.files) + len(listing.folders))
    return listing


@dataclass
class _Found:
    """A folder: its path and times, and what it holds, or its number in the old listing, where it is the same."""

    path: bytes
    times: tuple[int, int]
    entries: int | _Entries


def _walk(top: bytes, old: Listing | None, skip: Path | None, count: Count) -> tuple[list[_Found], dict[str, str]]:
    known = {} if old is None else {path: number for number, path in enumerate(old.folders.every())}
    subs = [] if old is None else old.subs.every()
    sub_starts = [] if old is None else old.sub_starts.tolist()
    times = [] if old is None else list(map(tuple, old.times.tolist()))
    found: list[_Found] = []
    unread: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    if skip is not None:
        with contextlib.suppress(OSError):
            seen.add((skip.stat().st_dev, skip.stat().st_ino))
    open_ = [b""]
    while open_:
        path = open_.pop()
        now = time.time_ns()
        try:
            status = os.stat(os.path.join(top, path) if path else top)  # noqa: PTH116, PTH118 (bytes)
        except OSError as cause:
            unread[os.fsdecode(path)] = _left_out(path, cause)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        own = (status.st_mtime_ns, status.st_ctime_ns)
        number = known.get(path)
        if number is not None and times[number] == own:
            found.append(_Found(path, own, number))
            names = subs[sub_starts[number] : sub_starts[number + 1]]
            count.advance(0 if old is None else int(old.starts[number + 1] - old.starts[number]))
        else:
            try:
                entries = _scan(os.path.join(top, path))  # noqa: PTH118
                found.append(_Found(path, own if settled(now, *own) else _UNSURE, entries))
                names = entries[1]
                count.advance(len(entries[0]))
            except OSError as cause:
                if not path:
                    raise InputError(f"cannot read the folder {os.fsdecode(top)!r}", str(cause.strerror)) from cause
                unread[os.fsdecode(path)] = _left_out(path, cause)
                names = []
        prefix = path + b"/" if path else b""
        open_ += [prefix + name for name in reversed(names)]
    return found, unread


def _scan(folder: bytes) -> _Entries:
    """What one folder holds, sorted."""
    files: list[bytes] = []
    folders: list[bytes] = []
    others: Counter[str] = Counter()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_folder(entry):
                folders.append(entry.name)
                continue
            ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
            if ending in _ENDINGS and not _is_special(entry):
                files.append(entry.name)
            elif entry.name not in _OURS:
                others[os.fsdecode(ending)] += 1
    return sorted(files), sorted(folders), others


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads nowhere: found unreadable when it is read


def _is_special(entry: os.DirEntry[bytes]) -> bool:
    """Whether this is a pipe, socket or device, which reading may wait for without end."""
    try:
        return not entry.is_file() and os.path.exists(entry.path)  # noqa: PTH110 (bytes)
    except OSError:
        return False


def _left_out(path: bytes, cause: OSError) -> str:
    why = cause.strerror or str(cause)
    _log.warning("left out a folder that cannot be read: %s; %s", os.fsdecode(path), why)
    return why


def _assemble(found: list[_Found], old: Listing | None) -> Listing:
    files: list[tuple[Array, Array]] = []
    subs: list[tuple[Array, Array]] = []
    others: list[bytes] = []
    for item in found:
        if isinstance(item.entries, int):
            if old is None:
                raise ValueError("there is no old listing")
            for pieces, table, starts in ((files, old.files, old.starts), (subs, old.subs, old.sub_starts)):
                pieces.append(table.stretch(*starts[item.entries : item.entries + 2].tolist()))
            others.append(old.others.raw(item.entries))
        else:
            others.append(json_bytes(item.entries[2]) if item.entries[2] else b"")
            for pieces, names in zip((files, subs), item.entries[:2], strict=True):
                text = np.frombuffer(b"".join(names), np.uint8)
                pieces.append((text, np.fromiter(map(len, names), np.int64, len(names))))
    return Listing(
        NameTable.of(item.path for item in found),
        *join_names(files),
        *join_names(subs),
        np.array([item.times for item in found], np.int64).reshape(-1, 2),
        NameTable.of(others),
    )


_TABLES = ("folders", "files", "subs", "others")


def _arrays(listing: Listing) -> dict[str, Array]:
    tables = {name: getattr(listing, name) for name in _TABLES}
    parts = {name: (table.text.numpy(), table.ends.numpy()) for name, table in tables.items()}
    arrays = {
        f"{name}_{part}": array
        for name, pair in parts.items()
        for part, array in zip(("text", "ends"), pair, strict=True)
    }
    return {**arrays, "starts": listing.starts, "sub_starts": listing.sub_starts, "times": listing.times}


def _load(file: IndexFile) -> Listing | None:
    arrays = file.load()
    if arrays is None:
        return None
    try:
        tables: dict[str, Any] = {name: NameTable(arrays[f"{name}_text"], arrays[f"{name}_ends"]) for name in _TABLES}
        listing = Listing(**tables, starts=arrays["starts"], sub_starts=arrays["sub_starts"], times=arrays["times"])
        listing.left_out  # noqa: B018 (counts that are none show here)
        return listing
    except (KeyError, ValueError, IndexError, TypeError) as cause:
        file.note(f"its parts do not fit ({cause})")
        return None
