"""TIFF files of grey or RGB, 8 or 16 bits, in layouts of their channels that Pillow reads wrongly or not at all.

Pillow cuts colours of 16 bits to 8. Neither it nor OpenCV always minds where channels lie one after another
(PlanarConfiguration), where 0 is white (PhotometricInterpretation), and what a further channel means (ExtraSamples).
Here OpenCV's libtiff unpacks the numbers alone, through a directory that describes them as plain grey, and what they
mean is worked out from the file's own tags. H, W: height and width; S: samples of a pixel.

Tags and their values: TIFF 6.0 (Adobe, 1992), sections 8, 14 and 18.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from smoothswap.core.errors import InputError
from smoothswap.core.extras import require
from smoothswap.images.orientation import ORIENTATION, orientation_from, upright

Layout = dict[int, tuple[int, ...]]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_OFFSETS, _TILE_BYTES = 317, 322, 324, 325
_EXTRA, _FORMAT = 338, 339
# What says where the numbers lie and how they are packed: size, bits, compression, fill order, strips, tiles.
_KEPT = (*range(256, 260), 266, 273, *range(277, 280), *range(322, 326))
_READ = {*_KEPT, _PHOTOMETRIC, _PLANAR, _PREDICTOR, _EXTRA, _FORMAT}
_PIECES = ((_STRIP_OFFSETS, _STRIP_BYTES), (_TILE_OFFSETS, _TILE_BYTES))

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_PREMULTIPLIED, _ALPHA = 1, 2
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}  # those OpenCV's libtiff has


@dataclasses.dataclass(frozen=True, eq=False)
class TiffPage:
    """The first page of a TIFF file, not decoded yet.

    Args:
        data: the whole file.
        tags: its first directory.
        layout: the whole numbers in it that say where the pixels lie and what they mean.
        name: how messages call it.
    """

    data: bytes
    tags: TiffImagePlugin.ImageFileDirectory_v2
    layout: Layout
    name: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as stored."""
        return self.layout[_WIDTH][0], self.layout[_HEIGHT][0]

    @property
    def bits(self) -> int:
        """Bits of a sample: 8 or 16."""
        return self.layout[_BITS][0]

    @property
    def orientation(self) -> int:
        """By what `decode` turns the page, 1 to 8."""
        return orientation_from(self.tags.get(ORIENTATION))

    def exif(self) -> Image.Exif:
        """The tags of the page and of the directories that it points to."""
        exif = Image.Exif()
        exif.endian = self.tags._endian
        exif.bigtiff = self.tags._bigtiff
        exif.load_from_fp(io.BytesIO(self.data), self.tags.offset)
        return exif

    def decode(self) -> tuple[Samples, Samples | None, bool]:
        """Return RGB [H, W, 3], alpha [H, W], and greyness: upright, in the file's own bits.

        Colours are not multiplied by alpha, which is None where there is none.

        Raises:
            InputError: cut off, damaged, or packed in a way that cannot be decoded.
        """
        colours = self._colours
        samples: Any = self._samples()
        alpha_at, premultiplied = self._alpha()
        alpha = None if alpha_at is None else samples[:, :, alpha_at]
        pixels = samples[:, :, :colours]
        if alpha is not None and premultiplied:
            pixels = _unmultiplied(pixels, alpha)
        if self.layout[_PHOTOMETRIC][0] == _WHITE_IS_ZERO:
            pixels = np.iinfo(pixels.dtype).max - pixels
        if colours == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        turn = self.orientation
        return upright(pixels, turn), None if alpha is None else upright(alpha, turn), colours == 1

    @property
    def _colours(self) -> int:
        return 3 if self.layout[_PHOTOMETRIC][0] == _RGB else 1

    @property
    def _count(self) -> int:
        return _first(self.layout, _SAMPLES, 1)

    def _alpha(self) -> tuple[int | None, bool]:
        """Which sample is alpha (None: no one), and whether the colours are multiplied by it."""
        extra = self.layout.get(_EXTRA)
        if extra is None:  # one sample too many that nothing explains is alpha, as it is for Pillow
            return (self._colours if self._count == self._colours + 1 else None), False
        for at, kind in enumerate(extra, start=self._colours):
            if kind in (_PREMULTIPLIED, _ALPHA) and at < self._count:
                return at, kind == _PREMULTIPLIED
        return None, False

    def _samples(self) -> Samples:
        """All samples [H, W, S] as they are stored."""
        count = self._count
        if count > 1 and _first(self.layout, _PLANAR, 1) == 2:
            return np.dstack([self._plane(number) for number in range(count)])  # type: ignore[return-value]
        # A grey row in which the samples follow each other: OpenCV knows no two samples, nor five.
        width, height = self.size
        wide: Layout = {_WIDTH: (width * count,)}
        if _TILE_WIDTH in self.layout:
            wide[_TILE_WIDTH] = (self.layout[_TILE_WIDTH][0] * count,)
        return self._summed(self._unpacked(wide).reshape(height, width, count))

    def _plane(self, number: int) -> Samples:
        """One of the channels that lie one after another, [H, W]."""
        own: Layout = {}
        for tag in {tag for pair in _PIECES for tag in pair} & set(self.layout):
            pieces = self.layout[tag]
            each = len(pieces) // self._count
            own[tag] = pieces[number * each : (number + 1) * each]
        return self._summed(self._unpacked(own)[:, :, None])[:, :, 0]

    def _summed(self, samples: Samples) -> Samples:
        """Samples [H, W, S] with the predictor undone, which took differences along the rows of a tile."""
        if _first(self.layout, _PREDICTOR, 1) == 2:
            width = samples.shape[1]
            tile = max(_first(self.layout, _TILE_WIDTH, width), 1)
            for left in range(0, width, tile):
                part = samples[:, left : left + tile]
                np.cumsum(part, axis=1, dtype=samples.dtype, out=part)
        return samples

    def _unpacked(self, changed: Layout) -> Samples:
        """The numbers [H, W] of the file if it is read as grey, by its own layout with some tags `changed`."""
        tags = {tag: self.layout[tag] for tag in _KEPT if tag in self.layout}
        tags |= {_BITS: (self.bits,), _SAMPLES: (1,), _FORMAT: (1,), _PHOTOMETRIC: (_BLACK_IS_ZERO,), **changed}
        for offsets, lengths in _PIECES:
            pairs = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
            if any(offset + length > len(self.data) for offset, length in pairs):
                raise _damaged(self.name, f"TIFF of {len(self.data)} bytes, in which a part of the pixels is missing")
        require("photos")  # only these layouts need OpenCV
        import cv2

        try:
            array: Any = cv2.imdecode(np.frombuffer(_described(self.data, tags), np.uint8), cv2.IMREAD_UNCHANGED)
        except (cv2.error, struct.error):  # no sensible numbers in the tags
            array = None
        (width,), (height,) = tags[_WIDTH], tags[_HEIGHT]
        if array is None or array.itemsize * 8 != self.bits or array.shape != (height, width):
            packed = _COMPRESSIONS[_first(self.layout, _COMPRESSION, 1)]
            raise _damaged(self.name, f"TIFF of {len(self.data)} bytes that cannot be unpacked (compression: {packed})")
        return array  # type: ignore[no-any-return]


def open_tiff(data: bytes, name: str) -> TiffPage | None:
    """Return the first page of a TIFF file that is to be decoded here; None for all that Pillow reads as well.

    Decoded here are unsigned grey and RGB of 16 bits, and of 8 bits where there are further channels. A compression
    that only Pillow knows is left to it, at 8 bits, in layouts that it reads rightly.

    Raises:
        InputError: a TIFF file whose channels are laid out or packed in a way that cannot be read.
    """
    if not data.startswith((b"II*\0", b"MM\0*", b"II+\0")):
        return None
    tags = _directory(data)
    layout = {} if tags is None else _layout(tags)
    if tags is None or not {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC} <= set(layout):
        return None
    bits = set(layout[_BITS])
    if bits not in ({8}, {16}) or set(layout.get(_FORMAT, (1,))) != {1}:
        return None
    meaning, count = layout[_PHOTOMETRIC][0], _first(layout, _SAMPLES, 1)
    apart = count > 1 and _first(layout, _PLANAR, 1) == 2
    if bits == {8} and count <= (3 if meaning == _RGB else 1):
        return None
    if meaning in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        if _first(layout, _COMPRESSION, 1) in _COMPRESSIONS and _first(layout, _PREDICTOR, 1) in (1, 2):
            return TiffPage(data, tags, layout, name)
        if apart or meaning == _WHITE_IS_ZERO:
            raise _unknown_layout(name, layout)
    elif apart and bits == {16}:
        raise _unknown_layout(name, layout)
    return None


def _directory(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2 | None:
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:16] if _is_big(data) else data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return tags
    except (OSError, SyntaxError, ValueError, OverflowError, struct.error):
        return None


def _layout(tags: TiffImagePlugin.ImageFileDirectory_v2) -> Layout:
    found = {}
    for tag in _READ & set(tags):
        with contextlib.suppress(KeyError, ValueError, TypeError, struct.error):  # values that Pillow cannot make out
            value = tags[tag]
            values = tuple(value) if isinstance(value, tuple | bytes) else (value,)
            if values and all(isinstance(number, int) and number >= 0 for number in values):
                found[tag] = values
    return found


def _first(layout: Layout, tag: int, default: int) -> int:
    return layout.get(tag, (default,))[0]


def _is_big(data: bytes) -> bool:
    return data[2] == 43  # BigTIFF, as Pillow knows it


def _described(data: bytes, tags: Layout) -> bytes:
    """The file `data` with another first directory, put behind it, of whole numbers only."""
    order = "<" if data.startswith(b"II") else ">"
    big = _is_big(data)
    number, kind, head = ("Q", 16, 8) if big else ("L", 4, 4)  # LONG8 or LONG; where the header names the directory
    at = len(data) + len(data) % 2
    room = struct.calcsize(f"{order}{number}")
    entries, beyond = b"", b""
    behind = at + (8 if big else 2) + len(tags) * (20 if big else 12) + room
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{number}", *values)
        if len(packed) > room:
            place = struct.pack(f"{order}{number}", behind + len(beyond))
            beyond += packed
            packed = place
        entries += struct.pack(f"{order}HH{number}", tag, kind, len(values)) + packed
    counted = struct.pack(f"{order}{'Q' if big else 'H'}", len(tags))
    header = data[:head] + struct.pack(f"{order}{number}", at)
    body = data[len(header) :].ljust(at - len(header), b"\0")
    return header + body + counted + entries + bytes(room) + beyond


def _unmultiplied(pixels: Samples, alpha: Samples) -> Samples:
    """Colours [H, W, C] that were multiplied by alpha [H, W], divided by it again; black where it is 0."""
    white = int(np.iinfo(pixels.dtype).max)
    opacity = np.maximum(alpha, 1).astype(np.uint32)[:, :, None]
    # 65535 · 65535 + 32767 still fits into 32 bits
    divided = (pixels.astype(np.uint32) * white + opacity // 2) // opacity
    result: Any = np.where(alpha[:, :, None] > 0, np.minimum(divided, white), 0).astype(pixels.dtype)
    return result  # type: ignore[no-any-return]


def _damaged(name: str, fact: str) -> InputError:
    return InputError(f"{name!r} is damaged or cut off", fact, hint="copy or download the file again")


def _unknown_layout(name: str, layout: Layout) -> InputError:
    return InputError(
        f"{name!r} is a TIFF in a layout that cannot be read",
        f"{_first(layout, _SAMPLES, 1)} samples, photometric interpretation {layout[_PHOTOMETRIC][0]}, "
        f"planar configuration {_first(layout, _PLANAR, 1)}, compression {_first(layout, _COMPRESSION, 1)}, "
        f"predictor {_first(layout, _PREDICTOR, 1)}",
        hint="save it as RGB or grey, channels interleaved, uncompressed or with LZW or Deflate",
    )
