"""Writing pictures: PNG, JPEG, WebP, TIFF, with alpha, colours, resolution, EXIF and XMP where the format has them."""

from __future__ import annotations

import dataclasses
import io
import os
import shlex
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, TiffImagePlugin

from smoothswap.core.errors import InputError
from smoothswap.core.files import as_path, check_writable, write_aside
from smoothswap.images.bits import to_bits
from smoothswap.pipeline.metadata import XMP_TIFF_TAG, as_stored, chunks_to_write
from smoothswap.pipeline.picture import Picture
from smoothswap.pipeline.xmp import LARGEST

_XMP_KEY = "XML:com.adobe.xmp"


def check_output(path: Path | str, *, overwrite: bool = False) -> Path:
    """The path, if a picture can be written there.

    Raises:
        InputError: unknown suffix, a folder that is missing or may not be written, a name that is too long or a
            folder's, or an existing file without `overwrite`.
    """
    path = as_path(path, "the picture to write")
    if path.suffix.lower() not in _ENCODERS:
        raise InputError(
            f"cannot write {str(path)!r}: unknown suffix {path.suffix!r}",
            f"suffixes: {' '.join(_ENCODERS)}",
            hint="choose one of these; .png and .tif lose nothing",
        )
    if not os.path.isdir(path.parent):  # noqa: PTH112 (which takes any name)
        raise InputError(
            f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}",
            hint=f"mkdir -p {shlex.quote(str(path.parent))}",
        )
    check_writable(path)
    if path.exists() and not overwrite:
        raise InputError(f"{str(path)!r} exists", hint="choose another name, or allow it with --overwrite")
    return path


def write_picture(
    picture: Picture,
    path: Path | str,
    *,
    overwrite: bool = False,
    quality: int = 95,
    xmp: bytes | None = None,
) -> Path:
    """Encode by suffix and write aside, so that `path` is either the whole picture or untouched.

    PNG and TIFF hold 16 bits and alpha. WebP holds alpha at 8 bits. JPEG holds neither: transparency is laid on white.

    Args:
        picture: what to write.
        path: file to write; .png, .jpg, .jpeg, .webp, .tif or .tiff.
        overwrite: replace an existing file.
        quality: 1 to 100, for JPEG and WebP; WebP at 100 loses nothing.
        xmp: packet to write; the picture's own where left out.

    Raises:
        InputError: the path cannot be written to (see `check_output`), or the format cannot hold such a picture.
        WorkError: writing failed, for instance on a full disk.
    """
    path = check_output(path, overwrite=overwrite)
    if not 1 <= quality <= 100:
        raise InputError(f"quality cannot be {quality}", hint="give 1 to 100")
    encode = _ENCODERS[path.suffix.lower()]
    try:
        data = encode(picture, quality, picture.xmp if xmp is None else xmp)
    except (OSError, ValueError, struct.error, cv2.error) as cause:
        raise InputError(
            f"a picture of {picture.width} × {picture.height} pixels cannot be written as {path.suffix}",
            str(cause),
            hint="write a .png or .tif instead",
        ) from cause
    with write_aside(path) as aside:
        aside.write_bytes(data)
    return path


def _channels(picture: Picture, bits: int, *, with_alpha: bool) -> npt.NDArray[Any]:
    """[H, W], [H, W, 2], [H, W, 3] or [H, W, 4]: grey or RGB, then alpha."""
    pixels = to_bits(picture.pixels, bits)
    colour: npt.NDArray[Any] = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if picture.grey else pixels
    if picture.alpha is None or not with_alpha:
        return colour
    return np.dstack([colour, to_bits(picture.alpha, bits)])


def _image(picture: Picture, *, with_alpha: bool) -> Image.Image:
    return Image.fromarray(_channels(picture, 8, with_alpha=with_alpha))


def _in_colour(picture: Picture) -> Picture:
    """As RGB, for layouts that have no grey; a profile of grey says nothing about RGB and goes."""
    return dataclasses.replace(picture, grey=False, icc=None) if picture.grey else picture


def _on_white(picture: Picture) -> Picture:
    if picture.alpha is None:
        return picture
    white = np.iinfo(picture.pixels.dtype).max
    opacity = picture.alpha[:, :, None].astype(np.float32) / white
    pixels: Any = np.rint(white + (picture.pixels - np.float32(white)) * opacity).astype(picture.pixels.dtype)
    return picture.with_pixels(pixels)


def _jpeg(picture: Picture, quality: int, xmp: bytes | None) -> bytes:
    file = io.BytesIO()
    more: dict[str, Any] = {}
    if picture.exif and len(picture.exif) < LARGEST:
        more["exif"] = picture.exif
    if xmp and len(xmp) < LARGEST:
        more["xmp"] = xmp
    if picture.dpi and all(0.5 < dots < 65_535 for dots in picture.dpi):
        more["dpi"] = picture.dpi
    image = _image(_on_white(picture), with_alpha=False)
    # subsampling 0: colour at full resolution, since faces are judged by their skin. No Huffman tables of the picture's
    # own (optimize): libjpeg then wants the whole scan in one buffer, for which Pillow guesses too little where there
    # is grain.
    image.save(file, "JPEG", quality=quality, subsampling=0, icc_profile=picture.icc, **more)
    return file.getvalue()


def _webp(picture: Picture, quality: int, xmp: bytes | None) -> bytes:
    file = io.BytesIO()
    picture = _in_colour(picture)
    more = {"exif": picture.exif, "xmp": xmp, "icc_profile": picture.icc}
    image = _image(picture, with_alpha=True)
    # exact: keep the colour under full transparency
    image.save(
        file, "WEBP", quality=quality, lossless=quality == 100, exact=True, **{k: v for k, v in more.items() if v}
    )
    return file.getvalue()


def _png(picture: Picture, quality: int, xmp: bytes | None) -> bytes:
    if picture.bits == 16:
        return _png_16_bits(picture, xmp)
    file = io.BytesIO()
    text = PngImagePlugin.PngInfo()
    if xmp:
        text.add_itxt(_XMP_KEY, xmp.decode("utf-8", "replace"))
    more = {"exif": picture.exif} if picture.exif else {}
    _image(picture, with_alpha=True).save(file, "PNG", pnginfo=text, icc_profile=picture.icc, **more)
    return _after_header(file.getvalue(), _colours_and_size(picture))


def _png_16_bits(picture: Picture, xmp: bytes | None) -> bytes:
    """OpenCV encodes the pixels; the chunks that it cannot write go in after the header."""
    if picture.alpha is not None:
        picture = _in_colour(picture)  # OpenCV writes no two channels
    array = _channels(picture, 16, with_alpha=True)
    if array.ndim == 3:
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    done, encoded = cv2.imencode(".png", array)
    if not done:
        raise ValueError("PNG encoder failed")
    data = encoded.tobytes()
    extra = _colours_and_size(picture)
    if picture.icc:
        extra += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc))
    if picture.exif:
        extra += _chunk(b"eXIf", picture.exif.removeprefix(b"Exif\0\0"))
    if xmp:
        extra += _chunk(b"iTXt", _XMP_KEY.encode() + b"\0\0\0\0\0" + xmp)
    return _after_header(data, extra)


def _colours_and_size(picture: Picture) -> bytes:
    """Chunks of a PNG that say what its colours mean and how many dots an inch has."""
    kept = chunks_to_write(picture.colour_chunks, has_profile=picture.icc is not None)
    chunks = b"".join(_chunk(kind, body) for kind, body in kept.items())
    if picture.dpi is not None:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in picture.dpi), 1))
    return chunks


def _after_header(data: bytes, chunks: bytes) -> bytes:
    """A PNG file with chunks put in behind its header, which ends at byte 33."""
    return data[:33] + chunks + data[33:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _tiff(picture: Picture, quality: int, xmp: bytes | None) -> bytes:
    """One deflated strip, 8 or 16 bits; written tag by tag, since Pillow has no 16-bit RGB."""
    if picture.bits == 16 and picture.alpha is not None:
        picture = _in_colour(picture)  # Pillow, for one, reads no 16-bit grey with alpha
    array = np.atleast_3d(_channels(picture, picture.bits, with_alpha=True))
    height, width, channels = array.shape
    strip = zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes(), 6)
    tags = TiffImagePlugin.ImageFileDirectory_v2(ifh=b"II*\0\0\0\0\0")
    if picture.exif:
        exif = Image.Exif()
        exif.load(picture.exif)
        for tag in exif:
            # a directory of its own (photo, GPS) is stored as one
            tags[tag] = exif.get_ifd(tag) or as_stored(exif[tag])
    if picture.dpi is not None:
        (tags[282], tags[283]), tags[296] = picture.dpi, 2  # dots per inch
    tags[256], tags[257] = width, height
    tags[258] = (picture.bits,) * channels
    tags[259] = 8  # deflate
    tags[262] = 1 if picture.grey else 2  # black is zero, or RGB
    tags[273], tags[278], tags[279] = 0, height, len(strip)  # the strip's place is filled in when saved
    tags[277] = channels
    tags[339] = (1,) * channels  # unsigned
    if picture.alpha is not None:
        tags[338] = 2  # unassociated alpha
    if xmp:
        tags[XMP_TIFF_TAG] = xmp
        tags.tagtype[XMP_TIFF_TAG] = 1
    if picture.icc:
        tags[34675] = picture.icc
        tags.tagtype[34675] = 7
    file = io.BytesIO()
    tags.save(file)
    file.write(strip)
    return file.getvalue()


_ENCODERS: dict[str, Callable[[Picture, int, bytes | None], bytes]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".webp": _webp,
    ".tif": _tiff,
    ".tiff": _tiff,
}
