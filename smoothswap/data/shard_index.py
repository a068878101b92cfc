"""Where the pictures of a shard lie, and whom each shows."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smoothswap.core.errors import InputError
from smoothswap.core.files import from_json
from smoothswap.core.picture_files import SUFFIXES, counted
from smoothswap.data.tar_members import DamageError, Member, members

JSON_KEYS = ("person", "identity", "label", "class")
"""Keys of a `.json` member that `auto` takes for the person, the first that is there."""

_ENDINGS = frozenset(suffix.encode() for suffix in SUFFIXES)
_SMALL = 1 << 20  # a larger .cls or .json names nobody


@dataclass
class Shard:
    """What one shard holds.

    Args:
        names: of the picture members, as the system gives them.
        offsets: where the content of each begins, bytes.
        sizes: of each, bytes.
        people: whom each shows.
        nobody: samples with a picture but without a person.
        damage: what is wrong with the rest of the shard; empty where it is whole.
        left_out: files that belong to no sample with a picture: their number by what follows the first dot.
    """

    names: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    people: list[bytes] = field(default_factory=list)
    nobody: int = 0
    damage: str = ""
    left_out: Counter[str] = field(default_factory=Counter)


def read_shard(path: Path, person: str) -> Shard:
    """List the pictures of a shard by its headers.

    Args:
        path: a tar file.
        person: `cls`, `json:KEY` or `folder`.

    Raises:
        InputError: the file cannot be opened.
    """
    shard = Shard()
    with _opened(path) as handle:
        try:
            for key, parts in _samples(members(handle)):
                picture = next((part for ending, part in parts.items() if _is_picture(ending, part)), None)
                if picture is None:
                    shard.left_out.update(_kind(ending, part) for ending, part in parts.items())
                    continue
                name = _person(handle, key, parts, person)
                if not name:
                    shard.nobody += 1
                    continue
                shard.names.append(picture.name)
                shard.offsets.append(picture.offset)
                shard.sizes.append(picture.size)
                shard.people.append(name)
        except DamageError as damage:
            shard.damage = str(damage)
    return shard


def choose_person(paths: Iterable[Path]) -> str:
    """How the first sample with a picture says whom it shows: its `.cls`, a key of its `.json`, or its folder.

    Raises:
        InputError: there is no picture, or the first says nothing of whom it shows.
    """
    others: Counter[str] = Counter()
    for path in paths:
        with _opened(path) as handle:
            try:
                for key, parts in _samples(members(handle)):
                    if any(_is_picture(ending, part) for ending, part in parts.items()):
                        return _choice(handle, path, key, parts)
                    others.update(_kind(ending, part) for ending, part in parts.items())
            except DamageError:
                continue  # told of when the shard is listed
    raise InputError(
        "the shards hold no pictures",
        *([f"they hold {counted(others)}"] if others else []),
        hint="a sample needs a picture, such as 000001.jpg",
    )


class _opened:  # noqa: N801 (reads as a function)
    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> int:
        try:
            self.handle = os.open(self.path, os.O_RDONLY)
        except OSError as cause:
            raise InputError(f"cannot read the shard {str(self.path)!r}", cause.strerror or str(cause)) from cause
        return self.handle

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def _samples(found: Iterator[Member]) -> Iterator[tuple[bytes, dict[bytes, Member]]]:
    """Members that follow each other and share the name up to the first dot, by what follows it, in small letters.

    Hidden members are passed over; one without a dot is a sample of its own.
    """
    key: bytes | None = None
    parts: dict[bytes, Member] = {}
    damage: DamageError | None = None
    try:
        for member in found:
            folder, base = posixpath.split(member.name)
            stem, dot, ending = base.partition(b".")
            if not stem:
                continue
            if not dot:
                stem += b"\0"  # joins no other
            own = folder + b"/" + stem if folder else stem
            if own != key:
                if key is not None:
                    yield key, parts
                key, parts = own, {}
            parts.setdefault(ending.lower(), member)
    except DamageError as error:
        damage = error  # the sample before it is whole as far as it goes
    if key is not None:
        yield key, parts
    if damage is not None:
        raise damage


def _is_picture(ending: bytes, part: Member) -> bool:
    return part.offset >= 0 and b"." + ending.rpartition(b".")[2] in _ENDINGS


def _kind(ending: bytes, part: Member) -> str:
    """What tells the kind of a member that is left out."""
    suffix = f".{os.fsdecode(ending)}" if ending else ""
    return suffix if part.offset >= 0 else f"{suffix} (a link that leads out of the file, or a sparse file)"


def _person(handle: int, key: bytes, parts: dict[bytes, Member], person: str) -> bytes:
    if person == "folder":
        return posixpath.dirname(key)
    member = parts.get(b"cls" if person == "cls" else b"json")
    if member is None or member.offset < 0 or member.size > _SMALL:
        return b""
    content = os.pread(handle, member.size, member.offset)
    if person == "cls":
        return content.strip()
    value = _read_json(content).get(person.removeprefix("json:"))
    return b"" if value is None or isinstance(value, (dict, list)) else str(value).encode("utf-8", "backslashreplace")


def _read_json(content: bytes) -> dict[str, Any]:
    try:
        values = from_json(content)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _choice(handle: int, path: Path, key: bytes, parts: dict[bytes, Member]) -> str:
    if b"cls" in parts:
        return "cls"
    keys: Iterable[str] = ()
    if b"json" in parts:
        keys = _read_json(os.pread(handle, min(parts[b"json"].size, _SMALL), parts[b"json"].offset))
        named = next((name for name in JSON_KEYS if name in keys), None)
        if named:
            return f"json:{named}"
    if posixpath.dirname(key):
        return "folder"
    raise InputError(
        f"the first sample of {str(path)!r} does not say whom it shows: {os.fsdecode(key)!r}",
        f"members: {', '.join(os.fsdecode(ending) for ending in parts)}",
        f"keys of its .json: {', '.join(keys) or 'none'}",
        hint="add a .cls member, a folder for each person, or name the key of the .json: person=json:KEY",
    )
