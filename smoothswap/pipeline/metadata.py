"""What a picture file carries beside its pixels: EXIF, XMP, colours, resolution. No pictures are kept."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any, TypeGuard

from PIL import ExifTags, Image

from smoothswap.pipeline.xmp import is_plain_text, without_pictures

XMP_TIFF_TAG, ICC_TIFF_TAG = 700, 34675

_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error)

# Tags of the first directory that describe the photograph. Those that describe the file's own layout (strips,
# compression, resolution levels) would be wrong in another file.
_WINDOWS_TEXTS = range(40091, 40096)
_KEPT = {
    *(270, 271, 272, 282, 283, 296, 305, 306, 315, 33432),  # description, camera, resolution, software, date, rights
    *_WINDOWS_TEXTS,  # title, comment, author, keywords, subject as Windows writes them
}
# Tags of the photo directory that Exif 3.0 defines and that hold numbers or short texts. Not among them are the
# MakerNote, in which cameras put previews, the spatial frequency response and everything of one maker's own.
_KEPT_PHOTO = {
    *(33434, 33437, 34850, 34852, 34855, *range(34864, 34870)),  # exposure, sensitivity
    *(36864, 36867, 36868, *range(36880, 36883), *range(37520, 37523)),  # version, dates
    *(37121, 37122, *range(37377, 37387), 37396, 37510, *range(37888, 37894)),  # light, lens, user comment, weather
    *range(40960, 40965),  # colour space, size, name of a sound file
    *(41483, *range(41486, 41489), 41492, 41493, 41495, *range(41728, 41731)),  # sensor, source
    *(*range(41985, 41997), 42016, *range(42032, 42042), *range(42080, 42083), 42240),  # scene, owner, lens
}
_KEPT_PLACE = set(range(32))  # of the GPS directory
_EXIF, _GPS = int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)
_WIDTH, _HEIGHT = int(ExifTags.Base.ExifImageWidth), int(ExifTags.Base.ExifImageHeight)
_X_RESOLUTION, _Y_RESOLUTION = int(ExifTags.Base.XResolution), int(ExifTags.Base.YResolution)
_RESOLUTION_UNIT = int(ExifTags.Base.ResolutionUnit)
_MOST_NUMBERS = 64
_MOST_BYTES = 240
_COMMENT_CODES = {b"UNICODE\0": ("utf-16", "utf-16-be"), b"JIS\0\0\0\0\0": ("iso2022_jp",)}  # how a user comment begins

# Chunks of a PNG that say what its colours mean, and the bytes that each has. The first three hold beside an ICC
# profile (and before it); the others stand in for one.
_BESIDE_PROFILE = {b"cICP": 4, b"mDCV": 24, b"cLLI": 8}
_COLOUR_CHUNKS = {**_BESIDE_PROFILE, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}


def exif_of(image: Image.Image) -> Image.Exif | None:
    """The EXIF tags of a loaded image; None where it has none or they are damaged."""
    try:
        tags = image.getexif()
    except _DAMAGE:
        return None
    return tags if len(tags) else None


def exif_to_keep(tags: Image.Exif | None, *, width: int, height: int, turned: bool = False) -> bytes | None:
    """The tags that stay true for the upright, changed picture, as an EXIF block (None where none is left).

    Orientation goes, since it has been applied, and so does whatever may show the old face: thumbnail, MakerNote,
    tags that the standard does not know, and values that are neither text nor a few numbers.

    Args:
        tags: what the file had.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        turned: whether the picture was turned by a quarter, so that across is down now.
    """
    if tags is None:
        return None
    with contextlib.suppress(*_DAMAGE):
        kept = Image.Exif()
        first = _harmless(dict(tags), _KEPT)
        if turned and {_X_RESOLUTION, _Y_RESOLUTION} <= set(first):
            first |= {_X_RESOLUTION: first[_Y_RESOLUTION], _Y_RESOLUTION: first[_X_RESOLUTION]}
        for tag, value in first.items():
            kept[tag] = as_stored(value)
        photo = _harmless(tags.get_ifd(_EXIF), _KEPT_PHOTO)
        if photo:
            if _WIDTH in photo or _HEIGHT in photo:
                photo |= {_WIDTH: width, _HEIGHT: height}
            kept[_EXIF] = photo
        place = _harmless(tags.get_ifd(_GPS), _KEPT_PLACE)
        if place:
            kept[_GPS] = place
        if len(kept):
            return bytes(kept.tobytes())
    return None


def as_stored(value: Any) -> Any:
    """A value of the first directory as it is to be written: of texts, which Pillow writes in ASCII, the bytes."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def _harmless(tags: dict[int, Any], known: set[int]) -> dict[int, Any]:
    """Those `known` tags whose values hold no picture."""
    return {tag: value for tag, value in tags.items() if tag in known and not _may_hold_picture(tag, value)}


def _may_hold_picture(tag: int, value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) > _MOST_NUMBERS or any(isinstance(part, bytes | str) for part in value)
    if not isinstance(value, bytes | str) or len(value) <= _MOST_BYTES:
        return False
    return not any(is_plain_text(text) for text in _readings(tag, value))


def _readings(tag: int, value: bytes | str) -> Iterator[str]:
    """The texts that the value of a tag may be meant as."""
    codes: tuple[str, ...] = ("utf-8",)
    if isinstance(value, str):  # Pillow takes ASCII for Latin-1; many programs write UTF-8
        codes, value = ("utf-8", "latin-1"), value.encode("latin-1", "replace")
    elif tag in _WINDOWS_TEXTS:
        codes = ("utf-16-le",)
    elif value[:8] in _COMMENT_CODES:
        codes, value = _COMMENT_CODES[value[:8]], value[8:]
    for code in codes:
        with contextlib.suppress(UnicodeError):
            yield value.decode(code).replace("\0", "")


def dpi_of(image: Image.Image, tags: Image.Exif | None) -> tuple[float, float] | None:
    """Dots per inch across and down, as stored, which the file names in its own way or in EXIF tags; None for none."""
    # Of a JPEG that names none, Pillow says 72.
    named = image.format not in ("JPEG", "MPO") or image.info.get("jfif_unit") in (1, 2)
    return _dpi(image.info.get("dpi")) if named and "dpi" in image.info else dpi_in(tags)


def dpi_in(tags: Image.Exif | None) -> tuple[float, float] | None:
    """Dots per inch across and down that EXIF or TIFF tags name; None where they name none."""
    if tags is None:
        return None
    with contextlib.suppress(*_DAMAGE):
        unit = {2: 1.0, 3: 2.54}[tags.get(_RESOLUTION_UNIT, 2)]  # inch, centimetre
        return _dpi((tags[_X_RESOLUTION], tags[_Y_RESOLUTION]), unit)
    return None


def _dpi(value: Any, unit: float = 1.0) -> tuple[float, float] | None:
    try:
        across, down = (float(part) * unit for part in value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """What a PNG file says of its colours beside an ICC profile: cICP, gAMA, cHRM, sRGB … by their names."""
    found: dict[bytes, bytes] = {}
    at = 8
    while data.startswith(b"\x89PNG\r\n\x1a\n") and at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            break
        body, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if _COLOUR_CHUNKS.get(kind) == length and check == struct.pack(">I", zlib.crc32(kind + body)):
            found.setdefault(kind, body)
        at += 12 + length
    return found


def chunks_to_write(found: dict[bytes, bytes], *, has_profile: bool) -> dict[bytes, bytes]:
    """Those of `colour_chunks` that hold beside an ICC profile, or without one."""
    return {kind: body for kind, body in found.items() if not has_profile or kind in _BESIDE_PROFILE}


def xmp_of(image: Image.Image) -> bytes | None:
    """The XMP packet of a loaded image, as `xmp_packet` gives it."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if found is None and image.format == "TIFF":
        found = getattr(image, "tag_v2", {}).get(XMP_TIFF_TAG)
    return xmp_packet(found)


def xmp_packet(found: object) -> bytes | None:
    """A packet without whatever may show the old face; None where there is none or it cannot be read."""
    if isinstance(found, str):
        found = found.encode("utf-8", "replace")
    return without_pictures(found) if isinstance(found, bytes) else None


def profile_fits(icc: object, *, grey: bool) -> TypeGuard[bytes]:
    """Whether an ICC profile describes the channels that will be written (bytes 16 to 20 name its colour space)."""
    return isinstance(icc, bytes) and len(icc) >= 128 and icc[16:20] == (b"GRAY" if grey else b"RGB ")
