"""Reading picture files of any kind as plain RGB, for training. Nothing but the pixels is kept."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from smoothswap.core.errors import InputError
from smoothswap.core.files import as_path
from smoothswap.core.picture_files import FORMATS
from smoothswap.images.bits import to_bits
from smoothswap.images.orientation import orientation_of, upright
from smoothswap.images.tiff import TiffPage, open_tiff

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MAX_PIXELS = 128_000_000  # Decoded, that is 384 MB; a file of a few kB can claim far more.
BACKGROUND = 128  # The middle of the range: 0 in [-1, 1], the value that a model ignores most easily.


def read_rgb(path: Path | str) -> Pixels:
    """Read a picture file as it is meant to be seen (see `decode_rgb`).

    Args:
        path: a file of a format in `core.picture_files.FORMATS`.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        InputError: no such file, not a picture, empty, truncated, damaged, or larger than `MAX_PIXELS`; names the file.
    """
    return decode_rgb(read_file(as_path(path, "a picture")), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: no such file, or it may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as cause:
        raise InputError(f"cannot read {str(path)!r}", cause.strerror or str(cause)) from cause


def decode_rgb(data: bytes, name: str, side: int | None = None) -> Pixels:
    """Decode a picture as it is meant to be seen.

    EXIF orientation is applied; transparent parts lie on mid-grey; grey becomes RGB; 16 bits are scaled to 8; CMYK goes
    through its colour profile where it has one. Of an animation the first frame is read.

    Args:
        data: bytes of a format in `core.picture_files.FORMATS`.
        name: for messages.
        side: the picture will be shrunk to this side, pixels. A JPEG of four times that and more may then come out
            smaller, at least twice the side: its decoder shrinks by 2, 4 or 8, which is quicker than to decode all.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        InputError: not a picture, empty, truncated, damaged, or larger than `MAX_PIXELS`; names the picture.
    """
    if not data:
        raise InputError(f"{name!r} is empty", "0 bytes")
    try:
        # Pillow warns of odd metadata, which changes no pixel, and of size, which is checked below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, name, side)
    except InputError:
        raise
    except UnidentifiedImageError as cause:
        raise InputError(f"{name!r} is not a picture that can be read", f"{len(data)} bytes") from cause
    except Image.DecompressionBombError as cause:
        raise _too_large(name, str(cause)) from cause
    except MemoryError:
        raise
    except Exception as cause:
        # Pillow's decoders answer damaged data with OSError, SyntaxError, ValueError, struct.error and more.
        raise InputError(f"{name!r} is damaged", f"{type(cause).__name__}: {cause}") from cause


def _decode(data: bytes, name: str, side: int | None) -> Pixels:
    page = open_tiff(data, name)
    if page is not None:
        return _decode_tiff(page, name)
    with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
        _check_size(image.size, name)
        if side is not None and image.format == "JPEG":
            image.draft(None, (2 * side, 2 * side))
        image.load()
        profile = image.info.get("icc_profile")
        turn = orientation_of(image)
        return upright(np.array(_to_rgb(image, profile, name), dtype=np.uint8), turn)


def _decode_tiff(page: TiffPage, name: str) -> Pixels:
    _check_size(page.size, name)
    values, alpha, _ = page.decode()
    pixels = to_bits(values, 8)
    if alpha is None:
        return pixels
    return np.array(_on_background(Image.fromarray(np.dstack([pixels, to_bits(alpha, 8)]))), dtype=np.uint8)


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} × {height} pixels")


def _too_large(name: str, fact: str) -> InputError:
    return InputError(
        f"{name!r} is too large to be decoded", fact, f"at most {MAX_PIXELS / 1e6:.0f} million pixels", hint="shrink it"
    )


def _to_rgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise InputError(
            f"{name!r} holds floating-point pixels, whose range is not known", hint="convert it to 8 or 16 bits"
        )
    if image.mode == "CMYK" and profile:
        return _through_profile(image, profile)
    if image.has_transparency_data:
        return _on_background(image.convert("RGBA"))
    return image.convert("RGB")


def _on_background(image: Image.Image) -> Image.Image:
    under = Image.new("RGBA", image.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
    return Image.alpha_composite(under, image).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale the modes I;16 and I to 8-bit grey, which Pillow's own conversion would clip at 255."""
    return Image.fromarray(to_bits(np.asarray(image).clip(0, 65535).astype(np.uint16), 8))


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        converted = None
    return image.convert("RGB") if converted is None else converted
