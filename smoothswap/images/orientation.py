"""The EXIF orientation of an image, and turning pixels upright by it."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

ORIENTATION = int(ExifTags.Base.Orientation)

Array = TypeVar("Array", bound=npt.NDArray[Any])


def orientation_of(image: Image.Image) -> int:
    """Return the orientation, 1 to 8, by which an open image is still to be turned.

    Pillow turns TIFF files itself while it loads them, and drops the tag then. EXIF data that cannot be read says
    nothing about the pixels: the image is taken as upright.
    """
    try:
        return orientation_from(image.getexif().get(ORIENTATION))
    except Exception:  # damaged EXIF data makes Pillow raise almost anything
        return 1


def orientation_from(value: object) -> int:
    """Return the orientation, 1 to 8, that a value of the tag stands for; 1 (upright) where it stands for none.

    The tag should be a SHORT. Programs also write it as BYTE, UNDEFINED, LONG, RATIONAL or text: what reads as a whole
    number from 1 to 8 is taken.
    """
    if isinstance(value, tuple):
        value = value[0] if value else None
    if isinstance(value, bytes):
        # one byte, or a SHORT of either byte order behind the type UNDEFINED; else digits
        digits = value.strip(b"\0 ")
        value = digits[0] if len(digits) == 1 and digits[0] <= 8 else digits.decode("ascii", "replace")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):
        return 1
    return int(number) if number in range(1, 9) else 1


def upright(array: Array, orientation: int) -> Array:
    """Turn an array [H, W] or [H, W, C] by an orientation, 1 to 8; it is contiguous then."""
    turned: Any = array.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else array
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned)  # type: ignore[return-value]
