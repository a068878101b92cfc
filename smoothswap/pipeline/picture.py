"""A photograph as an upright RGB array, together with everything that must survive until it is written again.

H, W: height and width in pixels, after the EXIF orientation has been applied.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from smoothswap.core.errors import InputError
from smoothswap.core.file_kind import kind_of
from smoothswap.core.files import as_path
from smoothswap.core.picture_files import FORMATS
from smoothswap.images.bits import to_bits
from smoothswap.images.orientation import orientation_of, upright
from smoothswap.images.tiff import TiffPage, open_tiff
from smoothswap.pipeline import metadata

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

MAX_MEGAPIXELS = 200.0
_LOOKED_AT = 1024  # bytes in which is seen what else a file is

# What Pillow's decoders are known to raise on damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

_TYPES = {8: np.uint8, 16: np.uint16}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """A decoded photograph.

    Args:
        pixels: [H, W, 3] RGB, uint8 or uint16, upright.
        alpha: [H, W] of the same type, or None where the picture has no transparency.
        grey: whether the file was grey; it is then written grey again.
        icc: colour profile of `pixels`, as the file carried it; None for sRGB and for what was converted.
        exif: EXIF block without orientation and whatever may hold a picture, ready to be written.
        xmp: XMP packet of the file, without these as well.
        dpi: dots per inch across and down.
        colour_chunks: what a PNG file said of its colours beside a profile (cICP, gAMA, …), by chunk; a PNG keeps it.
        name: how messages call the picture.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    colour_chunks: dict[bytes, bytes] = dataclasses.field(default_factory=dict)
    name: str = "picture"

    @classmethod
    def read(cls, path: Path | str, *, max_megapixels: float = MAX_MEGAPIXELS) -> Self:
        """Read any picture; of an animation or a stack of pages, the first.

        CMYK is converted to sRGB (through its profile where it has one), palettes are expanded, 16-bit PNG and TIFF
        keep their 16 bits.

        Args:
            path: file to read; its content decides the format, not its name.
            max_megapixels: larger pictures are refused before they are decoded.

        Raises:
            InputError: missing, empty, no picture, damaged, cut off, or too large.
        """
        path = as_path(path, "a picture")
        data = _read_bytes(path)
        with _quiet():
            page = open_tiff(data, str(path))
            if page is not None:
                _check_size(page.size, data, path, max_megapixels)
                with _as_damage(path, data, "TIFF", page.size):
                    return cls._from_tiff(page)
            with _open(data, path) as image:
                _check_size(image.size, data, path, max_megapixels)
                with _as_damage(path, data, str(image.format), image.size):
                    image.load()
                    return cls._from_image(image, data, str(path))

    @classmethod
    def _from_image(cls, image: Image.Image, data: bytes, name: str) -> Self:
        tags = metadata.exif_of(image)
        turn = orientation_of(image)
        icc = image.info.get("icc_profile") or None
        deep = _decode_16_bits(image, data)
        if deep is not None:
            pixels, alpha, grey = deep
        else:
            pixels, alpha, grey, icc = _decode_8_bits(image, icc, name)
        pixels = upright(pixels, turn)
        return cls(
            pixels=pixels,
            alpha=None if alpha is None else upright(alpha, turn),
            grey=grey,
            icc=icc if metadata.profile_fits(icc, grey=grey) else None,
            xmp=metadata.xmp_of(image),
            colour_chunks=metadata.colour_chunks(data),
            name=name,
            **_upright_metadata(tags, metadata.dpi_of(image, tags), pixels, turn),
        )

    @classmethod
    def _from_tiff(cls, page: TiffPage) -> Self:
        pixels, alpha, grey = page.decode()
        tags, icc = page.exif(), page.tags.get(metadata.ICC_TIFF_TAG)
        return cls(
            pixels=pixels,
            alpha=alpha,
            grey=grey,
            icc=icc if metadata.profile_fits(icc, grey=grey) else None,
            xmp=metadata.xmp_packet(page.tags.get(metadata.XMP_TIFF_TAG)),
            name=page.name,
            **_upright_metadata(tags, metadata.dpi_in(tags), pixels, page.orientation),
        )

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """Bits of a channel: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    def with_pixels(self, pixels: Pixels) -> Self:
        """The same picture with other pixels [H, W, 3] of the same type."""
        return dataclasses.replace(self, pixels=pixels)

    def as_uint8(self) -> npt.NDArray[np.uint8]:
        """Pixels [H, W, 3] in 8 bits, rounded; no copy where they have 8 bits already."""
        return to_bits(self.pixels, 8)

    def write(
        self,
        path: Path | str,
        *,
        overwrite: bool = False,
        quality: int = 95,
        xmp: bytes | None = None,
    ) -> Path:
        """Write by suffix: see `smoothswap.pipeline.encode.write_picture`."""
        from smoothswap.pipeline.encode import write_picture

        return write_picture(self, path, overwrite=overwrite, quality=quality, xmp=xmp)


def _upright_metadata(
    tags: Image.Exif | None, dpi: tuple[float, float] | None, pixels: Pixels, turn: int
) -> dict[str, Any]:
    """EXIF block and dots per inch of upright pixels [H, W, 3] that were turned by an orientation, 1 to 8."""
    turned = turn in (5, 6, 7, 8)
    exif = metadata.exif_to_keep(tags, width=pixels.shape[1], height=pixels.shape[0], turned=turned)
    return {"exif": exif, "dpi": dpi[::-1] if turned and dpi is not None else dpi}


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise InputError(f"cannot read {str(path)!r}", cause.strerror or str(cause), hint="check the path") from cause
    if not data:
        raise InputError(f"{str(path)!r} is empty", "0 bytes", hint="copy or download the file again")
    return data


# Pillow's limit is a global of the process; ours is an argument, so Pillow's is lifted while a header is read.
_pillow_limit = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # Decoders warn about oddities that do not harm the pixels (palette transparency, unknown tags).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _as_damage(path: Path, data: bytes, kind: str, size: tuple[int, int]) -> Iterator[None]:
    """Turn what decoders raise on damaged files into an InputError."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as cause:
        raise InputError(
            f"{str(path)!r} is damaged or cut off",
            f"{kind} of {size[0]} × {size[1]} pixels, {len(data)} bytes: {cause}",
            hint="copy or download the file again",
        ) from cause


def _open(data: bytes, path: Path) -> Image.Image:
    try:
        with _pillow_limit:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(io.BytesIO(data), formats=tuple(FORMATS))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except _DAMAGE as cause:
        kind = kind_of(data[:_LOOKED_AT], len(data))
        if kind is not None and kind.startswith("a video"):
            raise InputError(
                f"{str(path)!r} is {kind}, not a picture",
                "smoothswap works on single pictures; no command of it takes a video",
                hint="take a frame out of it, such as with `ffmpeg -ss 3 -i VIDEO -frames:v 1 frame.png`",
            ) from cause
        raise InputError(
            f"{str(path)!r} is no picture that can be read" + (f": it is {kind}" if kind else ""),
            f"{len(data)} bytes, beginning with {data[:12]!r}",
            hint="give a JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF file (convert HEIC and raw files first)",
        ) from cause


def _check_size(size: tuple[int, int], data: bytes, path: Path, max_megapixels: float) -> None:
    width, height = size
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise InputError(
            f"{str(path)!r} is too large: {width} × {height} pixels",
            f"{megapixels:.0f} megapixels in a file of {len(data)} bytes; the limit is {max_megapixels:g}",
            hint="make the picture smaller, or raise max_megapixels if it is meant to be that large",
        )


Decoded = tuple[Pixels, Pixels | None, bool]


def _decode_16_bits(image: Image.Image, data: bytes) -> Decoded | None:
    """Pixels, alpha and greyness of 16-bit PNG files, as stored; None for everything else.

    Pillow cuts colour of 16 bits down to 8, so OpenCV decodes these.
    """
    if image.format != "PNG" or data[24] != 16:  # IHDR: bit depth
        return None
    array: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[:2] != (image.height, image.width):
        return None
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2), None, True
    grey = image.mode in ("L", "LA", "I", "I;16", "I;16B")
    pixels = np.ascontiguousarray(array[:, :, 2::-1])
    return pixels, (np.ascontiguousarray(array[:, :, 3]) if array.shape[2] == 4 else None), grey


def _decode_8_bits(
    image: Image.Image, icc: bytes | None, name: str
) -> tuple[Pixels, Pixels | None, bool, bytes | None]:
    if image.mode.startswith("I"):  # 16-bit grey of other formats, in Pillow's wider modes
        values = np.asarray(image)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise _unsupported(image, name)
        return np.repeat(values.astype(np.uint16)[:, :, None], 3, axis=2), None, True, icc
    if image.mode == "CMYK":
        return np.asarray(_cmyk_to_rgb(image, icc)), None, False, None
    grey = image.mode in ("1", "L", "LA", "La")
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if image.mode == "F":
        raise _unsupported(image, name)
    try:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        array = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    except ValueError as cause:
        raise _unsupported(image, name) from cause
    alpha = np.ascontiguousarray(array[:, :, 3]) if has_alpha else None
    return np.ascontiguousarray(array[:, :, :3]), alpha, grey, icc


def _unsupported(image: Image.Image, name: str) -> InputError:
    return InputError(
        f"{name!r} holds values that are no 8- or 16-bit colours",
        f"{image.format} in mode {image.mode}",
        hint="convert it to an RGB picture first",
    )


def _cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    if icc is not None:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            converted: Any = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted  # type: ignore[no-any-return]
    return image.convert("RGB")
