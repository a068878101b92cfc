"""The members of a tar file: where each lies, without reading what it holds.

Formats: ustar, with the extensions of GNU (long names, sizes in base 256) and pax (path and size). Python's `tarfile`
reads them too, but makes an object with twenty fields of each member, which takes ten times as long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = 512
_FILE = (b"0", b"7", b"\x00")  # types of members that are ordinary files
_NO_NAME = 1 << 20  # a longer "name" is damage


class Member(NamedTuple):
    """An ordinary file in a tar file.

    Args:
        name: as stored, without a leading `./`.
        offset: where its content begins, bytes.
        size: of the content, bytes.
    """

    name: bytes
    offset: int
    size: int


class DamageError(Exception):
    """The rest of a tar file cannot be read."""


def members(handle: int) -> Iterator[Member]:
    """The ordinary files of a tar file, in order.

    Args:
        handle: of the file, open for reading; its position is neither used nor moved.

    Raises:
        DamageError: something that is no header, a member that is cut off, or no end mark; what lies before was given.
    """
    total = os.fstat(handle).st_size
    place = 0
    long_name: bytes | None = None
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
        place = content + -(-size // _BLOCK) * _BLOCK
        if content + size > total:
            raise DamageError(f"a member of {size:,} bytes is cut off: the file ends at byte {total:,}")
        if kind == b"L":
            long_name = _text(handle, content, size).rstrip(b"\0")
        elif kind == b"x":
            records = dict(_records(_text(handle, content, size), content))
            long_name = records.get(b"path", long_name)
            long_size = _decimal(records[b"size"], content) if b"size" in records else None
            continue
        elif kind not in b"gK":
            if kind in _FILE:
                name = long_name if long_name is not None else _name(header)
                yield Member(name.removeprefix(b"./"), content, size)
            long_name = None
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
