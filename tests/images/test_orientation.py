"""The EXIF orientation, whatever type it is stored as, in both readers."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from smoothswap.data.decode import read_rgb
from smoothswap.images.orientation import orientation_from, upright
from smoothswap.pipeline.picture import Picture

UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)
# EXIF type, count, bytes of the value in little-endian order, and the orientation that it stands for
VALUES = {
    "SHORT": (3, 1, b"\6\0", 6),
    "BYTE": (1, 1, b"\6", 6),
    "BYTE 3": (1, 1, b"\3", 3),
    "two BYTES": (1, 2, b"\6\0", 6),
    "UNDEFINED": (7, 1, b"\6", 6),
    "UNDEFINED of a SHORT": (7, 2, b"\0\6", 6),
    "UNDEFINED digit": (7, 1, b"8", 8),
    "LONG": (4, 1, b"\6\0\0\0", 6),
    "SBYTE": (6, 1, b"\6", 6),
    "SLONG": (9, 1, struct.pack("<i", -6), 1),
    "text": (2, 4, b"top\0", 1),
    "text of a digit": (2, 2, b"6\0", 6),
    "empty text": (2, 1, b"\0", 1),
    "RATIONAL 0/0": (5, 1, struct.pack("<II", 0, 0), 1),
    "RATIONAL 6/0": (5, 1, struct.pack("<II", 6, 0), 1),
    "RATIONAL 6/1": (5, 1, struct.pack("<II", 6, 1), 6),
    "RATIONAL 13/2": (5, 1, struct.pack("<II", 13, 2), 1),
    "DOUBLE": (12, 1, struct.pack("<d", 8.0), 8),
    "FLOAT NaN": (11, 1, struct.pack("<f", float("nan")), 1),
    "several SHORTs": (3, 2, struct.pack("<HH", 3, 1), 3),
    "SHORT 0": (3, 1, b"\0\0", 1),
    "SHORT 9": (3, 1, b"\x09\0", 1),
}


def _exif(kind: int, count: int, value: bytes) -> bytes:
    inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", 26)
    more = value if len(value) > 4 else b""
    return b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 274, kind, count) + inline + struct.pack("<I", 0) + more


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
@pytest.mark.parametrize("name", VALUES)
def test_every_type(tmp_path: Path, suffix: str, name: str) -> None:
    kind, count, value, orientation = VALUES[name]
    stored = np.kron(UPRIGHT, np.ones((16, 16), np.uint8))
    path = tmp_path / f"a{suffix}"
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 95}}.get(suffix, {})
    Image.fromarray(stored).convert("RGB").save(path, exif=_exif(kind, count, value), **options)
    for pixels in (Picture.read(path).pixels, read_rgb(path)):
        assert np.abs(pixels[..., 0].astype(int) - upright(stored, orientation)).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["SHORT", "BYTE", "UNDEFINED", "text", "LONG"])
def test_every_type_in_tiff(tmp_path: Path, bits: int, name: str) -> None:
    kind, count, value, orientation = VALUES[name]
    stored = UPRIGHT if bits == 8 else UPRIGHT.astype(np.uint16) * 257
    file = io.BytesIO()
    Image.fromarray(stored).save(file, "TIFF", tiffinfo={274: 1})
    data = file.getvalue()
    at = data.index(struct.pack("<HHI", 274, 3, 1))
    data = data[:at] + struct.pack("<HHI", 274, kind, count) + value.ljust(4, b"\0") + data[at + 12 :]
    (tmp_path / "a.tif").write_bytes(data)
    for pixels in (Picture.read(tmp_path / "a.tif").as_uint8(), read_rgb(tmp_path / "a.tif")):
        assert np.array_equal(pixels[..., 0], upright(UPRIGHT, orientation))


@pytest.mark.parametrize(
    ("value", "orientation"),
    [(None, 1), ((), 1), ({}, 1), (b"", 1), (b"top", 1), (" 5 ", 5), (7, 7), (IFDRational(8, 2), 4), (1e300, 1)],
)
def test_values(value: object, orientation: int) -> None:
    assert orientation_from(value) == orientation
