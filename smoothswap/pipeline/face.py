"""What a landmarker finds: faces, as boxes and points in pixels of the picture.

Coordinates are (x, y) with the centre of the first pixel at (0, 0). "Left" is the viewer's left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Face:
    """One face.

    Args:
        box: left, top, right, bottom in pixels; it may reach over the picture's border.
        points: [5, 2] left eye, right eye, nose tip, left and right mouth corner.
        score: the detector's confidence, 0 to 1.
        landmarks: [68, 2] points of the iBUG 300-W scheme, where the landmarker gives them.
    """

    box: tuple[float, float, float, float]
    points: Points
    score: float
    landmarks: Points | None = None

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)

    def __str__(self) -> str:
        left, top, right, bottom = (round(value) for value in self.box)
        return f"{right - left} × {bottom - top} px at x {left}, y {top} (score {self.score:.2f})"


def largest_first(faces: Iterable[Face]) -> list[Face]:
    """Faces by the area of their boxes; of equal ones the one farther left comes first, then the higher one.

    Areas are compared to a tenth of a square pixel: a network's coordinates depend on the processor in their last
    digits, and so would the order of two faces of one size.
    """
    return sorted(faces, key=lambda face: (-round(face.area, 1), face.box[0], face.box[1]))


@runtime_checkable
class Landmarker(Protocol):
    """Finds faces (component kind `landmarker`)."""

    def find(self, picture: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces of an RGB picture [H, W, 3], the largest first."""

    def tried(self, height: int, width: int) -> list[str]:
        """What `find` does with a picture of that size, in words, for the message that there is no face."""


def build_landmarker(landmarker: str | Landmarker, **options: Any) -> Landmarker:
    """The landmarker itself, or the component of that name.

    Raises:
        UnknownNameError: no such landmarker, or an option it does not have.
    """
    if not isinstance(landmarker, str):
        return landmarker
    from smoothswap.core.catalogue import build

    built: Landmarker = build(landmarker, kind="landmarker", **options)
    return built
