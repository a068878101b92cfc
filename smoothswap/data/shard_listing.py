"""What shards hold: listed once by their headers, kept in an index, and checked by size and time of each shard."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.files import json_bytes
from smoothswap.core.picture_files import added_up
from smoothswap.core.progress import Count, counting
from smoothswap.core.workers import cores, may_start_processes, process_pool, results
from smoothswap.data.index_file import Array, IndexFile, settled
from smoothswap.data.name_table import NameTable, join_names
from smoothswap.data.shard_index import Shard, read_shard

_KIND = "shards 2"
_LARGE = 1 << 30  # bytes of shards to list, from which it pays to start processes
_UNSURE = (-1, -1)  # no shard's: it is listed again


@dataclass(frozen=True)
class Found:
    """N pictures in S shards.

    Args:
        names: [N] of the members.
        starts: int64 [S + 1] where the pictures of each shard begin.
        offsets: int64 [N] where the content of each begins in its shard, bytes.
        sizes: int64 [N], bytes.
        person: int32 [N] number of a name in `people`.
        people: names, each once or more.
        damage: [S] what is wrong with each shard; empty where nothing is.
        nobody: int64 [S] samples of each without a person.
        others: [S] files of each that belong to no sample with a picture, as JSON: their number by what follows the
            first dot of their names. Empty for none.
        marks: int64 [S, 2] size in bytes and time of the last change of each shard, ns.

    Raises:
        ValueError: arrays that do not fit each other.
    """

    names: NameTable
    starts: Array
    offsets: Array
    sizes: Array
    person: Array
    people: NameTable
    damage: NameTable
    nobody: Array
    others: NameTable
    marks: Array

    def __post_init__(self) -> None:
        shards, pictures = len(self.damage), len(self.names)
        fits = (
            {len(self.offsets), len(self.sizes), len(self.person)} == {pictures}
            and len(self.starts) == shards + 1
            and (self.starts[0], self.starts[-1]) == (0, pictures)
            and (np.diff(self.starts) >= 0).all()
            and len(self.nobody) == len(self.others) == shards
            and self.marks.shape == (shards, 2)
            and (pictures == 0 or (self.person.min() >= 0 and self.person.max() < len(self.people)))
        )
        if not fits:
            raise ValueError("the shards and their pictures do not fit")

    @functools.cached_property
    def left_out(self) -> Counter[str]:
        """The files that belong to no sample with a picture: their number by what follows the first dot."""
        return added_up(self.others.every())


def list_shards(paths: Sequence[Path], person: str, index: str | None = None, workers: int = 0) -> Found:
    """The pictures of shards, and whom they show.

    Args:
        paths: of tar files.
        person: `cls`, `json:KEY` or `folder`.
        index: `auto`, a path, or None for none.
        workers: processes that list; 0: one for each core. Little work is done in this process.

    Raises:
        InputError: a shard cannot be opened.
        ConfigError: `index` names a file that is no index.
        WorkError: a listing process died.
    """
    real = [os.path.realpath(path) for path in paths]
    file = IndexFile(index, _KIND, "\n".join([person, *real]))
    loaded = _load(file, person)
    old, known = loaded if loaded is not None else (None, {})
    now = time.time_ns()
    marks = [_mark(path) for path in real]
    same = [_number(path, mark, known, old) for path, mark in zip(real, marks, strict=True)]
    if old is not None and same == list(range(len(old.damage))):
        return old
    fresh = [path for path, number in zip(real, same, strict=True) if number is None]
    listed = iter(_read(fresh, person, workers))
    entries = [next(listed) if number is None else number for number in same]
    times = [mark if settled(now, mark[1]) else _UNSURE for mark in marks]
    found = _assemble(entries, times, old)
    file.save(_arrays(found, real, person), len(found.names))
    return found


def _mark(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError as cause:
        raise InputError(f"cannot read the shard {path!r}", cause.strerror or str(cause)) from cause
    return status.st_size, status.st_mtime_ns


def _number(path: str, mark: tuple[int, int], known: dict[str, int], old: Found | None) -> int | None:
    """The shard's number in the old listing, where it is the same."""
    number = known.get(path)
    same = old is not None and number is not None and tuple(old.marks[number].tolist()) == mark
    return number if same else None


def _read(paths: list[str], person: str, workers: int) -> list[Shard]:
    files = list(map(Path, paths))
    workers = min(workers or cores(), len(files))
    few = workers <= 1 or sum(path.stat().st_size for path in files) < _LARGE
    with counting("listing shards", len(files), "shards") as count:
        if few or not may_start_processes():
            return [_counted(count, read_shard(file, person)) for file in files]
        try:
            with process_pool(workers) as pool:
                read = partial(read_shard, person=person)
                found = {file: _counted(count, shard) for file, shard in results(pool, read, files, len(files))}
                return [found[file] for file in files]
        except BrokenProcessPool as cause:
            raise WorkError("a process that lists shards died", str(cause), hint="use fewer `workers`") from cause


def _counted(count: Count, shard: Shard) -> Shard:
    count.advance()
    return shard


def _assemble(entries: list[Shard | int], marks: list[tuple[int, int]], old: Found | None) -> Found:
    numbers = {} if old is None else {old.people.raw(i): i for i in range(len(old.people))}
    names, offsets, sizes, person, damage, nobody, others = [], [], [], [], [], [], []
    for entry in entries:
        if isinstance(entry, Shard):
            names.append((np.frombuffer(b"".join(entry.names), np.uint8), _integers(map(len, entry.names))))
            offsets.append(_integers(entry.offsets))
            sizes.append(_integers(entry.sizes))
            person.append(_integers(numbers.setdefault(name, len(numbers)) for name in entry.people))
            damage.append(entry.damage.encode())
            nobody.append(entry.nobody)
            others.append(json_bytes(entry.left_out) if entry.left_out else b"")
        elif old is not None:
            first, last = old.starts[entry : entry + 2].tolist()
            names.append(old.names.stretch(first, last))
            for pieces, array in ((offsets, old.offsets), (sizes, old.sizes), (person, old.person)):
                pieces.append(array[first:last])
            damage.append(old.damage.raw(entry))
            nobody.append(int(old.nobody[entry]))
            others.append(old.others.raw(entry))
    return Found(
        *join_names(names),
        np.concatenate(offsets),
        np.concatenate(sizes),
        np.concatenate(person).astype(np.int32),
        NameTable.of(numbers),
        NameTable.of(damage),
        np.array(nobody, np.int64),
        NameTable.of(others),
        np.array(marks, np.int64).reshape(-1, 2),
    )


def _integers(values: Iterable[int]) -> Array:
    return np.fromiter(values, np.int64)


_TABLES = ("names", "people", "damage", "others")
_PLAIN = ("starts", "offsets", "sizes", "person", "nobody", "marks")


def _arrays(found: Found, paths: list[str], person: str) -> dict[str, Array]:
    tables = {name: getattr(found, name) for name in _TABLES}
    tables |= {
        "paths": NameTable.of(map(os.fsencode, paths)),
        "teller": NameTable.of([person.encode("utf-8", "surrogatepass")]),
    }
    arrays: dict[str, Array] = {name: getattr(found, name) for name in _PLAIN}
    for name, table in tables.items():
        arrays |= {f"{name}_text": table.text.numpy(), f"{name}_ends": table.ends.numpy()}
    return arrays


def _load(file: IndexFile, person: str) -> tuple[Found, dict[str, int]] | None:
    """The old listing, and the number of each shard in it; None where people were told in another way."""
    arrays = file.load()
    if arrays is None:
        return None
    try:
        tables = {
            name: NameTable(arrays[f"{name}_text"], arrays[f"{name}_ends"]) for name in (*_TABLES, "paths", "teller")
        }
        if tables["teller"] != [person]:
            return None
        parts = {name: tables[name] for name in _TABLES} | {name: arrays[name] for name in _PLAIN}
        found = Found(**parts)  # type: ignore[arg-type]
        if len(tables["paths"]) != len(found.damage):
            raise ValueError("shards and paths differ")
        found.left_out  # noqa: B018 (counts that are none show here)
    except (KeyError, ValueError, IndexError, TypeError) as cause:
        file.note(f"its parts do not fit ({cause})")
        return None
    return found, {path: number for number, path in enumerate(tables["paths"])}
