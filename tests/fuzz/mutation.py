"""Changes to the bytes of a file, as disks, networks and other programs make them."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

_NUMBERS = (
    0,
    1,
    2,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
)
_FORMS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
_HEAD = 512  # bytes; what a file says of itself is mostly there


@st.composite
def mutated(draw: st.DrawFn, content: bytes, *, most: int = 4) -> bytes:
    """`content` with one to `most` changes: flipped, cut off, cut out, doubled, spliced, other numbers."""
    for _ in range(draw(st.integers(1, most))):
        if not content:
            break
        content = _KINDS[draw(st.sampled_from(sorted(_KINDS)))](draw, content)
    return content


def _at(draw: st.DrawFn, content: bytes) -> int:
    """A place in the file: in every second case near its start."""
    end = len(content) - 1
    return draw(st.one_of(st.integers(0, min(end, _HEAD)), st.integers(0, end)))


def _flipped(draw: st.DrawFn, content: bytes) -> bytes:
    at = _at(draw, content)
    return content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]


def _set(draw: st.DrawFn, content: bytes) -> bytes:
    at, new = _at(draw, content), draw(st.binary(min_size=1, max_size=8))
    return content[:at] + new + content[at + len(new) :]


def _cut_off(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: _at(draw, content)]


def _cut_out(draw: st.DrawFn, content: bytes) -> bytes:
    at = _at(draw, content)
    return content[:at] + content[at + draw(st.integers(1, 64)) :]


def _doubled(draw: st.DrawFn, content: bytes) -> bytes:
    at, length = _at(draw, content), draw(st.integers(1, 256))
    return content[:at] + content[at : at + length] * draw(st.integers(2, 5)) + content[at + length :]


def _moved(draw: st.DrawFn, content: bytes) -> bytes:
    here, there, length = _at(draw, content), _at(draw, content), draw(st.integers(1, 64))
    return content[:there] + content[here : here + length] + content[there + length :]


def _number(draw: st.DrawFn, content: bytes) -> bytes:
    """Another length, size, count or offset."""
    at, form = _at(draw, content), draw(st.sampled_from(_FORMS))
    size = struct.calcsize(form)
    number = draw(st.sampled_from((*_NUMBERS, len(content), len(content) - at))) % (1 << 8 * size)
    return content[:at] + struct.pack(form, number) + content[at + size :]


_KINDS = {
    "flipped": _flipped,
    "set": _set,
    "cut_off": _cut_off,
    "cut_out": _cut_out,
    "doubled": _doubled,
    "moved": _moved,
    "number": _number,
}
