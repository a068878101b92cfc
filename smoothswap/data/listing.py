"""Which pictures lie below a folder: found once, kept in an index, and checked by the times of the folders alone.

A folder's times change whenever an entry is added, removed or renamed in it. So a later start asks the system for the
times of every folder, and lists only those anew whose times differ. That does not see a file that was overwritten in
place, which changes no name; nor a link whose target turned from a file into a folder.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smoothswap.core.errors import InputError
from smoothswap.data.decode import SUFFIXES
from smoothswap.data.index_file import Array, IndexFile, settled, subject_of
from smoothswap.data.name_table import NameTable, join_names

_log = logging.getLogger(__name__)
_KIND = "pictures 1"
_ENDINGS = frozenset(suffix.encode() for suffix in SUFFIXES)
_UNSURE = (-1, -1)  # times that no folder has: it is listed again


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

    Raises:
        ValueError: arrays that do not fit each other.
    """

    folders: NameTable
    files: NameTable
    starts: Array
    subs: NameTable
    sub_starts: Array
    times: Array

    def __post_init__(self) -> None:
        for starts, table in ((self.starts, self.files), (self.sub_starts, self.subs)):
            fits = len(starts) == len(self.folders) + 1 and starts[0] == 0 and starts[-1] == len(table)
            if not fits or (np.diff(starts) < 0).any() or self.times.shape != (len(self.folders), 2):
                raise ValueError("the folders and their files do not fit")


def list_pictures(folder: Path, index: str | None = None) -> Listing:
    """All picture files below a folder; hidden files and folders are left out.

    Links to folders are followed, each real folder once. A sub-folder that may not be read is reported and left out.

    Args:
        folder: the top.
        index: `auto`, a path, or None for none.

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
    found = _walk(os.fsencode(folder), old)
    if old is not None and all(type(item.entries) is int for item in found) and len(found) == len(old.folders):
        return old
    listing = _assemble(found, old)
    file.save(_arrays(listing), len(listing.files) + len(listing.folders))
    return listing


@dataclass
class _Found:
    """A folder: its path and times, and what it holds, or its number in the old listing, where it is the same."""

    path: bytes
    times: tuple[int, int]
    entries: int | tuple[list[bytes], list[bytes]]


def _walk(top: bytes, old: Listing | None) -> list[_Found]:
    known = {} if old is None else {path: number for number, path in enumerate(old.folders.every())}
    subs = [] if old is None else old.subs.every()
    sub_starts = [] if old is None else old.sub_starts.tolist()
    times = [] if old is None else list(map(tuple, old.times.tolist()))
    found: list[_Found] = []
    seen: set[tuple[int, int]] = set()
    open_ = [b""]
    while open_:
        path = open_.pop()
        now = time.time_ns()
        try:
            status = os.stat(os.path.join(top, path) if path else top)  # noqa: PTH116, PTH118 (bytes)
        except OSError as cause:
            _left_out(path, cause)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        own = (status.st_mtime_ns, status.st_ctime_ns)
        number = known.get(path)
        if number is not None and times[number] == own:
            found.append(_Found(path, own, number))
            names = subs[sub_starts[number] : sub_starts[number + 1]]
        else:
            try:
                files, names = _scan(os.path.join(top, path))  # noqa: PTH118
                found.append(_Found(path, own if settled(now, *own) else _UNSURE, (files, names)))
            except OSError as cause:
                if not path:
                    raise InputError(f"cannot read the folder {os.fsdecode(top)!r}", str(cause.strerror)) from cause
                _left_out(path, cause)
                names = []
        prefix = path + b"/" if path else b""
        open_ += [prefix + name for name in reversed(names)]
    return found


def _scan(folder: bytes) -> tuple[list[bytes], list[bytes]]:
    """Names of the pictures and of the sub-folders of one folder, sorted."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_folder(entry):
                folders.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in _ENDINGS:  # noqa: PTH122
                files.append(entry.name)
    return sorted(files), sorted(folders)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads nowhere: found unreadable when it is read


def _left_out(path: bytes, cause: OSError) -> None:
    _log.warning("left out a folder that cannot be read: %s; %s", os.fsdecode(path), cause.strerror)


def _assemble(found: list[_Found], old: Listing | None) -> Listing:
    files: list[tuple[Array, Array]] = []
    subs: list[tuple[Array, Array]] = []
    for item in found:
        if isinstance(item.entries, int):
            if old is None:
                raise ValueError("there is no old listing")
            for pieces, table, starts in ((files, old.files, old.starts), (subs, old.subs, old.sub_starts)):
                pieces.append(table.stretch(*starts[item.entries : item.entries + 2].tolist()))
        else:
            for pieces, names in zip((files, subs), item.entries, strict=True):
                text = np.frombuffer(b"".join(names), np.uint8)
                pieces.append((text, np.fromiter(map(len, names), np.int64, len(names))))
    return Listing(
        NameTable.of(item.path for item in found),
        *join_names(files),
        *join_names(subs),
        np.array([item.times for item in found], np.int64).reshape(-1, 2),
    )


def _arrays(listing: Listing) -> dict[str, Array]:
    tables = {"folders": listing.folders, "files": listing.files, "subs": listing.subs}
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
        folders, files, subs = (
            NameTable(arrays[f"{name}_text"], arrays[f"{name}_ends"]) for name in ("folders", "files", "subs")
        )
        return Listing(folders, files, arrays["starts"], subs, arrays["sub_starts"], arrays["times"])
    except (KeyError, ValueError, IndexError, TypeError) as cause:
        file.note(f"its parts do not fit ({cause})")
        return None
