"""What a picture file carries beside its pixels: EXIF, XMP, colour profile."""

from __future__ import annotations

import contextlib
import struct

from PIL import ExifTags, Image

ORIENTATION = int(ExifTags.Base.Orientation)
XMP_TIFF_TAG = 700

_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error)

# Tags of the first directory that describe the photograph. Those that describe the file's own layout (strips,
# compression, resolution levels) would be wrong in another file.
_KEPT = {
    *(270, 271, 272, 282, 283, 296, 305, 306, 315, 33432),  # description, camera, resolution, software, date, rights
    *range(40091, 40096),  # title, comment, author, keywords, subject as Windows writes them
}
_EXIF, _GPS = int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)
_INTEROP = int(ExifTags.IFD.Interop)
_WIDTH, _HEIGHT = int(ExifTags.Base.ExifImageWidth), int(ExifTags.Base.ExifImageHeight)


def exif_of(image: Image.Image) -> Image.Exif | None:
    """The EXIF tags of a loaded image; None where it has none or they are damaged."""
    try:
        tags = image.getexif()
    except _DAMAGE:
        return None
    return tags if len(tags) else None


def exif_to_keep(tags: Image.Exif | None, *, width: int, height: int) -> bytes | None:
    """The tags that stay true for the upright, changed picture, as an EXIF block (None where none is left).

    Orientation goes, since it has been applied, and so does the thumbnail, since it shows the old face.
    """
    if tags is None:
        return None
    with contextlib.suppress(*_DAMAGE):
        kept = Image.Exif()
        for tag in _KEPT & set(tags):
            kept[tag] = tags[tag]
        photo = dict(tags.get_ifd(_EXIF))
        photo.pop(_INTEROP, None)  # an offset into the old file
        if photo:
            if _WIDTH in photo or _HEIGHT in photo:
                photo |= {_WIDTH: width, _HEIGHT: height}
            kept[_EXIF] = photo
        place = dict(tags.get_ifd(_GPS))
        if place:
            kept[_GPS] = place
        if len(kept):
            return bytes(kept.tobytes())
    return None


def xmp_of(image: Image.Image) -> bytes | None:
    """The XMP packet of a loaded image."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if found is None and image.format == "TIFF":
        found = getattr(image, "tag_v2", {}).get(XMP_TIFF_TAG)
    if isinstance(found, str):
        found = found.encode()
    return bytes(found) if isinstance(found, bytes) and found else None


def profile_fits(icc: bytes | None, *, grey: bool) -> bool:
    """Whether an ICC profile describes the channels that will be written (bytes 16 to 20 name its colour space)."""
    return icc is not None and len(icc) >= 128 and icc[16:20] == (b"GRAY" if grey else b"RGB ")


def is_16_bit(image: Image.Image, data: bytes) -> bool:
    """Whether the file is a PNG or TIFF with unsigned 16-bit grey or RGB channels."""
    if image.format == "PNG":
        return data[24] == 16  # IHDR: bit depth
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        depths, kinds = tags.get(258, (1,)), tags.get(339, (1,))
        return set(depths) == {16} and set(kinds) == {1} and tags.get(262) in (1, 2)
    return False
