"""Alignment: which square of a picture is the face, and sampling that square.

Coordinates are (x, y) with the centre of the first pixel at (0, 0), so pixel i of N covers [i − 0.5, i + 0.5] and
scaling by s maps x to s·(x + 0.5) − 0.5. S: side of a crop in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from smoothswap.core.errors import InputError
from smoothswap.core.similarity import as_points, fit_similarity
from smoothswap.pipeline.face import Face, Points
from smoothswap.pipeline.picture import Pixels

Array = npt.NDArray[np.float64]
Crop = npt.NDArray[np.float32]

_REDUCED = 4  # sides of the crop to which a much larger square is reduced
_MARGIN = 8  # pixels of the reduced picture around the square, more than its sampling reads
_BLUR = 4.0  # pixels: a stronger blur is made in a smaller picture, where it looks the same

# ArcFace's template of 112 px: left eye, right eye, nose tip, left and right mouth corner (viewer's left).
ARCFACE_112 = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)


# The same of dlib's face chip of 150 px with a padding of 0.25, which dlib derives from 68 points: where YuNet's five
# points lie in the chips of 54 photographs of LFW (medians; standard deviation 2 to 5 px), made symmetric.
DLIB_150 = np.array([(47.3, 45.2), (101.7, 45.2), (74.5, 77.3), (51.4, 104.1), (97.6, 104.1)])


@dataclass(frozen=True, eq=False)
class Square:
    """A square of a picture, turned by any angle.

    Args:
        corners: [4, 2] top left, bottom left, bottom right, top right, as FFHQ orders its quad.
    """

    corners: Array

    @property
    def side(self) -> float:
        """Length of the longer side in pixels of the picture."""
        across, down = self.corners[3] - self.corners[0], self.corners[1] - self.corners[0]
        return float(max(np.hypot(*across), np.hypot(*down)))

    @property
    def centre(self) -> Array:
        """The centre (x, y)."""
        return np.asarray(self.corners.mean(axis=0))

    def window(self, left: float, top: float, right: float, bottom: float) -> Square:
        """The part of it between these edges, which are shares of its sides, 0 to 1; it may be a rectangle."""
        origin, across, down = self.corners[0], self.corners[3] - self.corners[0], self.corners[1] - self.corners[0]
        edges = ((left, top), (left, bottom), (right, bottom), (right, top))
        return Square(np.stack([origin + x * across + y * down for x, y in edges]))

    def matrix(self, size: int) -> Array:
        """[2, 3]: pixel coordinates of a crop of `size` × `size` → pixel coordinates of the picture."""
        top_left, bottom_left, _, top_right = self.corners
        axes = np.stack([top_right - top_left, bottom_left - top_left], axis=1) / size
        return np.concatenate([axes, (top_left + axes.sum(axis=1) / 2)[:, None]], axis=1)

    def to_picture(self, points: Array, size: int) -> Array:
        """Points [N, 2] of a crop of that size, in the picture."""
        matrix = self.matrix(size)
        return points @ matrix[:, :2].T + matrix[:, 2]

    def to_crop(self, points: Array, size: int) -> Array:
        """Points [N, 2] of the picture, in a crop of that size."""
        matrix = self.matrix(size)
        return (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def bounds(self, height: int, width: int, margin: float = 0.0) -> tuple[int, int, int, int]:
        """Left, top, right, bottom (exclusive) of the pixels it touches, cut to a picture of that size."""
        left, top = np.floor(self.corners.min(axis=0) - margin).astype(int)
        right, bottom = np.ceil(self.corners.max(axis=0) + margin).astype(int) + 1
        return (
            min(max(left, 0), width), min(max(top, 0), height), min(max(right, 0), width), min(max(bottom, 0), height)
        )  # fmt: skip


def ffhq_square(face: Face) -> Square:
    """The square that FFHQ crops around a face: from its 68 landmarks, or from its five points."""
    if face.landmarks is not None:
        marks = face.landmarks
        eyes = marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)
        return quad_from_points(*eyes, marks[48], marks[54])
    return quad_from_points(face.points[0], face.points[1], face.points[3], face.points[4])


def quad_from_points(left_eye: Array, right_eye: Array, left_mouth: Array, right_mouth: Array) -> Square:
    """FFHQ's quad from eye centres and mouth corners (Karras et al., 2019), each a point (x, y).

    Raises:
        InputError: the points coincide, so that they span no square.
    """
    eye_to_eye = right_eye - left_eye
    eyes = (left_eye + right_eye) / 2
    eye_to_mouth = (left_mouth + right_mouth) / 2 - eyes
    flip = np.array([-1.0, 1.0])
    x = eye_to_eye - eye_to_mouth[::-1] * flip
    length = float(np.hypot(*x))
    if not (math.isfinite(length) and length > 1e-6):
        raise InputError("eyes and mouth corners coincide", f"eyes {left_eye} {right_eye}, mouth {left_mouth}")
    x = x / length * max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth))
    y = x[::-1] * flip
    c = eyes + 0.1 * eye_to_mouth
    return Square(np.stack([c - x - y, c - x + y, c + x + y, c + x - y]))


def arcface_square(points: Points) -> Square:
    """The square of ArcFace's 112 px template for five points [5, 2]: the similarity that fits them best.

    Raises:
        InputError: the points coincide.
    """
    return fitted_square(points, ARCFACE_112, 112)


def fitted_square(points: Points, places_in_crop: Array, size: int) -> Square:
    """The square whose crop of `size` pixels has five points [5, 2] of a picture nearest to given places [5, 2].

    Least squares over rotation, scale and shift.

    Raises:
        InputError: the points coincide.
    """
    turn, shift = fit_similarity(places_in_crop, points)
    if not abs(turn) > 1e-9:
        raise InputError("the five points of the face coincide", f"points {points.tolist()}")
    low, high = -0.5, size - 0.5
    edges = np.array([low + low * 1j, low + high * 1j, high + high * 1j, high + low * 1j])
    return Square(as_points(turn * edges + shift))


def crop(picture: Pixels, square: Square, size: int) -> Crop:
    """Sample a square of a picture.

    Where the square is larger than the crop, every crop pixel is the mean over its area; where it is smaller, values
    are interpolated bicubically. Outside the picture it goes on mirrored, softly blurred and fading to its mean colour.

    A square of more than 8 times the crop's side is first reduced to 4 times that side, by means over areas, so that
    what is sampled and continued has the size of the crop, not that of the photograph.

    Args:
        picture: [H, W, 3], uint8 or uint16.
        square: what to sample; only its surroundings in the picture are touched.
        size: side of the crop in pixels.

    Returns:
        [size, size, 3] float32 in [0, 1].
    """
    picture, square, factor = _reduced(picture, square, size)
    fold = max(math.ceil(square.side / size - 1e-6), 1)  # samples a crop pixel and axis: steps of a pixel at most
    region, offset = _surroundings(picture, square, factor)
    matrix = square.matrix(size * fold)
    matrix[:, 2] -= offset
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    samples = cv2.warpAffine(region, matrix, (size * fold, size * fold), flags=how, borderMode=cv2.BORDER_REPLICATE)
    if fold > 1:
        samples = cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)
    return np.clip(samples / np.float32(np.iinfo(picture.dtype).max), 0, 1, dtype=np.float32)  # type: ignore[no-any-return]


def _reduced(picture: Pixels, square: Square, size: int) -> tuple[Pixels, Square, float]:
    """The square's surroundings in larger pixels, the square in these, and how many old ones make a side of a new one.

    Where that would save little, it is the picture as it is, and 1. Edges stay edges: each side is scaled by its own
    factor, so that no pixel is cut.
    """
    factor = square.side / (_REDUCED * size)
    if factor < 2:
        return picture, square, 1.0
    height, width = picture.shape[:2]
    left, top, right, bottom = square.bounds(height, width, margin=_MARGIN * factor)
    region = picture[top:bottom, left:right]
    if not region.size:
        return picture, square, 1.0  # beside the picture, which is refused later
    sides = np.maximum(np.rint([region.shape[1] / factor, region.shape[0] / factor]), 1).astype(int)
    small: Any = cv2.resize(region, tuple(map(int, sides)), interpolation=cv2.INTER_AREA)
    scale = sides / (right - left, bottom - top)
    return small, Square((square.corners - (left, top) + 0.5) * scale - 0.5), factor


def _surroundings(picture: npt.NDArray[Any], square: Square, factor: float) -> tuple[Crop, Array]:
    """The square's bounding rectangle as float32, continued over the picture's border; and its top left corner."""
    height, width = picture.shape[:2]
    left, top = np.floor(square.corners.min(axis=0)).astype(int) - 3
    right, bottom = np.ceil(square.corners.max(axis=0)).astype(int) + 4
    before = np.maximum([-left, -top], 0)
    after = np.maximum([right - width, bottom - height], 0)
    x0, x1 = np.clip([left, right], 0, width)
    y0, y1 = np.clip([top, bottom], 0, height)
    if x0 == x1 or y0 == y1:
        raise InputError("the face lies outside the picture", f"square {square.corners.tolist()}")
    region = picture[y0:y1, x0:x1].astype(np.float32)
    if before.any() or after.any():
        region = _continued(region, before, after, square.side, factor)
    return region, np.array([left, top], dtype=np.float64)


def _continued(region: Crop, before: Array, after: Array, side: float, factor: float) -> Crop:
    """Mirror a region over its border, blur what was added, and let it fade to the region's mean colour.

    FFHQ mirrors at the centre of the photograph's last pixel and counts distances from there. In a region whose pixels
    are `factor` of the photograph's wide that is near their outer edge.
    """
    sides = int(before[1]), int(after[1]), int(before[0]), int(after[0])
    mirror = cv2.BORDER_REFLECT if factor > 1 else cv2.BORDER_REFLECT_101
    larger: Any = cv2.copyMakeBorder(region, *sides, mirror)
    blurred = _blurred(larger, max(0.02 * side, 0.5))
    outside = np.maximum(
        _distance(larger.shape[0], sides[0], sides[1])[:, None], _distance(larger.shape[1], sides[2], sides[3])[None, :]
    )[:, :, None]
    outside = np.maximum(outside - np.float32((1 - 1 / factor) / 2), 0)
    larger += (blurred - larger) * np.clip(outside / (0.05 * side), 0, 1)
    fade = np.clip((outside - 0.1 * side) / (0.5 * side), 0, 1)
    larger += (region.mean(axis=(0, 1)) - larger) * fade
    return larger  # type: ignore[no-any-return]


def _blurred(values: Crop, sigma: float) -> Crop:
    """Blur by a Gaussian of that standard deviation in pixels, at a cost that does not grow with it."""
    factor = sigma / _BLUR
    if factor <= 1:
        return cv2.GaussianBlur(values, (0, 0), sigma)  # type: ignore[return-value]
    height, width = values.shape[:2]
    reduced = max(round(width / factor), 1), max(round(height / factor), 1)
    small = cv2.resize(values, reduced, interpolation=cv2.INTER_AREA)
    # Mirrored at the edge, since in a larger pixel the centre of the last one lies further inside.
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (width, height))  # type: ignore[return-value]


def _distance(length: int, before: int, after: int) -> Crop:
    """[length] distance of each pixel from the part between the first `before` and the last `after`, 0 inside it."""
    at = np.arange(length, dtype=np.float32)
    return np.maximum(np.maximum(before - at, at - (length - 1 - after)), 0)
