"""The members of a tar file: where each lies, without reading what it holds.

A link within the file is the member that it leads to, as where two samples share a picture.

Formats: ustar, with the extensions of GNU (long names, sizes in base 256) and pax (path and size). Python's `tarfile`
reads them too, but makes an object with twenty fields of each member, which takes ten times as long.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = 512
_FILE = (b"0", b"7", b"\x00")  # types of members that are ordinary files
_HARD, _SYMBOLIC = b"1", b"2"
_EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, folders, pipes
_OTHER = (b"S", b"M")  # files whose content does not lie in one piece: sparse ones, and those of several volumes
_NOWHERE = -1
_NO_NAME = 1 << 20  # a longer "name" is damage


class Member(NamedTuple):
    """A file in a tar file.

    Args:
        name: as stored, without a leading `./`.
        offset: where its content begins, bytes; negative where it does not lie in one piece in this tar file.
        size: of the content, bytes.
    """

    name: bytes
    offset: int
    size: int


class DamageError(Exception):
    """The rest of a tar file cannot be read."""


def members(handle: int) -> Iterator[Member]:
    """The files of a tar file, in order, with those that links lead to.

    Args:
        handle: of the file, open for reading; its position is neither used nor moved.

    Raises:
        DamageError: something that is no header, a member that is cut off, or no end mark; what lies before was given.
    """
    targets: dict[bytes, Member] | None = None
    for member, link in _entries(handle):
        if link is None:
            yield member
            continue
        if targets is None:  # read once more, where there are links at all
            targets = _files(handle)
        target = targets.get(link)
        yield member if target is None else Member(member.name, target.offset, target.size)


def _files(handle: int) -> dict[bytes, Member]:
    found: dict[bytes, Member] = {}
    with contextlib.suppress(DamageError):  # told of by the caller
        found.update((member.name, member) for member, link in _entries(handle) if link is None)
    return found


def _entries(handle: int) -> Iterator[tuple[Member, bytes | None]]:
    """Files, and links with the name of the member that they lead to."""
    total = os.fstat(handle).st_size
    place = 0
    long_name: bytes | None = None
    long_link: bytes | None = None
    long_size: int | None = None
    while True:
        header = os.pread(handle, _BLOCK, place)
        if len(header) < _BLOCK:
            raise DamageError(f"it ends at byte {total:,} without an end mark")
        if not header.strip(b"\0"):
            return
        _check(header, place)
        size = long_size if long_size is not None else _number(header[124:136], place)
        kind, content = header[156:157], place + _BLOCK
        if kind in _EMPTY:
            size = 0  # some programs write the size of a link's target, whose content is not here
        place = content + -(-size // _BLOCK) * _BLOCK
        if content + size > total:
            raise DamageError(f"a member of {size:,} bytes is cut off: the file ends at byte {total:,}")
        if kind == b"L":
            long_name = _text(handle, content, size).rstrip(b"\0")
        elif kind == b"K":
            long_link = _text(handle, content, size).rstrip(b"\0")
        elif kind == b"x":
            records = dict(_records(_text(handle, content, size), content))
            long_name = records.get(b"path", long_name)
            long_link = records.get(b"linkpath", long_link)
            long_size = _decimal(records[b"size"], content) if b"size" in records else None
            continue
        elif kind != b"g":
            name = (long_name if long_name is not None else _name(header)).removeprefix(b"./")
            if kind in _FILE:
                yield Member(name, content, size), None
            elif kind in (_HARD, _SYMBOLIC):
                link = long_link if long_link is not None else header[157:257].partition(b"\0")[0]
                folder = posixpath.dirname(name) if kind == _SYMBOLIC else b""
                yield Member(name, _NOWHERE, 0), posixpath.normpath(posixpath.join(folder, link))
            elif kind in _OTHER:
                yield Member(name, _NOWHERE, 0), None
            long_name = long_link = None
        long_size = None


def _check(header: bytes, place: int) -> None:
    # The sum is that of the header with its own field taken as blanks.
    if (
        not header[148:156].strip(b"\0 ")
        or _number(header[148:156], place) != sum(header) - sum(header[148:156]) + 8 * 32
    ):
        raise DamageError(f"what stands at byte {place:,} is no header")


def _number(field: bytes, place: int) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 95) - 1)
    digits = field.strip(b"\0 ") or b"0"
    if digits.strip(b"01234567"):
        raise DamageError(f"the header at byte {place:,} holds no number where one belongs")
    return int(digits, 8)


def _decimal(field: bytes, place: int) -> int:
    if not field.isdigit():
        raise DamageError(f"the extended header at byte {place:,} has no size")
    return int(field)


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _text(handle: int, place: int, size: int) -> bytes:
    if size > _NO_NAME:
        raise DamageError(f"the name at byte {place:,} has {size:,} bytes")
    return os.pread(handle, size, place)


def _records(text: bytes, place: int) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of a pax header, each `length key=value` and a line's end."""
    while text:
        length, _, _ = text.partition(b" ")
        if not length.isdigit() or not len(length) + 2 < int(length) <= len(text):
            raise DamageError(f"the extended header at byte {place:,} is damaged")
        key, _, value = text[len(length) + 1 : int(length) - 1].partition(b"=")
        yield key, value
        text = text[int(length) :]
