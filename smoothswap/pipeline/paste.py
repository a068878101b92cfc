"""Pasting crops back: only inside their boxes, with a feathered edge, and fairly where boxes overlap.

H, W: the picture; S: side of a crop; K: number of faces. Work is done in bands of rows within the box's bounding
rectangle, so that a small face in a large photograph costs little time and no large face much memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from smoothswap.pipeline.ffhq import Crop, Square
from smoothswap.pipeline.picture import Pixels

FEATHER = 0.1
_BAND = 256
_CHANGED = 0.03  # change of a crop, of values 0 … 1, that leaves a third of the detail under it
_SPREAD = 1.0  # in CIE Lab, where a difference of 1 can just be seen
# How sharply a pixel in several boxes goes to the box whose middle is nearest.
_SHARPNESS = 6


def paste(
    picture: Pixels,
    crops: Sequence[Crop],
    squares: Sequence[Square],
    *,
    feather: float = FEATHER,
    masks: Sequence[Crop] | None = None,
    originals: Sequence[Crop] | None = None,
) -> Pixels:
    """A copy of the picture with every crop in its square.

    Pixels outside all squares are those of the picture, bit for bit. Where squares overlap, as in a group photograph,
    a pixel goes to the square that holds it nearer to its middle: a neighbour's crop shows the old face there.

    Args:
        picture: [H, W, 3], uint8 or uint16.
        crops: K arrays [S, S, 3], float32 in [0, 1].
        squares: K squares of the picture.
        feather: width of the soft edge, as a share of the square's side, 0 to 0.5.
        masks: K arrays [S, S] in [0, 1] that weigh the crops in addition to the feathered box.
        originals: the K crops as they were taken from the picture. With them detail too fine for a crop stays where a
            crop changed little: there the difference is pasted, elsewhere the crop itself, since the fine detail of
            what is gone would shine through. Without them the crops replace what was there.

    Returns:
        [H, W, 3] of the picture's type.
    """
    out = picture.copy()
    for index, (face, square) in enumerate(zip(crops, squares, strict=True)):
        others = [other for place, other in enumerate(squares) if place != index and _meet(square, other)]
        mask = None if masks is None else masks[index]
        original = None if originals is None else originals[index]
        _paste_one(picture, out, face, square, others, feather, mask, original)
    return out


def _paste_one(
    picture: Pixels,
    out: Pixels,
    face: Crop,
    square: Square,
    others: list[Square],
    feather: float,
    mask: Crop | None,
    original: Crop | None,
) -> None:
    height, width = picture.shape[:2]
    left, top, right, bottom = square.bounds(height, width)
    kept = None if original is None else _fitted(np.dstack([_kept(face, original), original]), square)
    face = _fitted(face, square)
    mask = None if mask is None else _fitted(mask, square)
    white = np.float32(np.iinfo(picture.dtype).max)
    for start in range(top, bottom, _BAND):
        stop = min(start + _BAND, bottom)
        depth = _depth(square, left, right, start, stop)
        weight = _soft_step(depth / max(feather, 1e-6))
        if others:
            weight *= _share(depth, [_depth(other, left, right, start, stop) for other in others])
        if mask is not None:
            weight *= _sampled(mask, square, left, right, start, stop)
        old = picture[start:stop, left:right].astype(np.float32) / white
        change = np.clip(_sampled(face, square, left, right, start, stop), 0, 1) - old
        if kept is not None:
            seen = np.clip(_sampled(kept, square, left, right, start, stop), 0, 1)
            change += seen[:, :, :1] * (old - seen[:, :, 1:])
        band = out[start:stop, left:right]
        # Added to what is there, since a neighbour may have changed the pixel already.
        band[:] = np.rint(np.clip(band + weight[:, :, None] * change * white, 0, white)).astype(picture.dtype)


def _kept(face: Crop, original: Crop) -> Crop:
    """[S, S] share of the fine detail that stays: 1 where a crop is as it was, near 0 where it changed by much."""
    change = cv2.blur(np.abs(face - original).mean(axis=2), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.exp(-np.square(change / _CHANGED))  # type: ignore[no-any-return]


def _fitted(face: Crop, square: Square) -> Crop:
    """The crop shrunk by averaging to twice the square's side at most, since bicubic sampling would skip pixels."""
    side = max(round(2 * square.side), 1)
    fitted: Any = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) if side < face.shape[0] else face
    return fitted  # type: ignore[no-any-return]


def _sampled(face: Crop, square: Square, left: int, right: int, top: int, bottom: int) -> Crop:
    """The crop as seen by the picture's pixels in a rectangle: [bottom − top, right − left(, 3)]."""
    matrix = square.matrix(face.shape[0])
    matrix[:, 2] -= left, top
    size = (right - left, bottom - top)
    seen: Any = cv2.warpAffine(face, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return seen  # type: ignore[no-any-return]


def _depth(square: Square, left: int, right: int, top: int, bottom: int) -> Crop:
    """Distance to the nearest side of the square, as a share of its side: 0.5 at its middle, 0 outside. [h, w]."""
    matrix = square.matrix(1)
    inverse = np.linalg.inv(matrix[:, :2])
    x = (np.arange(left, right) - matrix[0, 2]).astype(np.float32)[None, :]
    y = (np.arange(top, bottom) - matrix[1, 2]).astype(np.float32)[:, None]
    across = np.abs(np.float32(inverse[0, 0]) * x + np.float32(inverse[0, 1]) * y)
    down = np.abs(np.float32(inverse[1, 0]) * x + np.float32(inverse[1, 1]) * y)
    return np.maximum(0.5 - np.maximum(across, down), 0)  # type: ignore[no-any-return]


def _soft_step(values: Crop) -> Crop:
    """0 at 0, 1 from 1 on, smooth at both ends."""
    values = np.minimum(values, 1)
    return values * values * (3 - 2 * values)


def _share(depth: Crop, others: list[Crop]) -> Crop:
    """How much of each pixel belongs to the square with that depth; the shares of all squares add up to 1."""
    mine = depth**_SHARPNESS
    total = mine + sum(other**_SHARPNESS for other in others)
    return mine / np.maximum(total, np.float32(1e-30))  # type: ignore[no-any-return]


def _meet(one: Square, other: Square) -> bool:
    """Whether two squares can overlap: their outer circles do."""
    return bool(np.hypot(*(one.centre - other.centre)) < (one.side + other.side) * np.sqrt(0.5))


def match_colour(face: Crop, reference: Crop) -> Crop:
    """A crop [S, S, 3] with the mean and spread of the reference's colours (Reinhard et al., 2001, in CIE Lab).

    The middle of the crop decides, where the face is; both crops are RGB float32 in [0, 1].
    """
    inner = slice(face.shape[0] // 4, -(-face.shape[0] * 3 // 4))
    lab, wanted = (cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2LAB) for crop in (face, reference))
    have, want = (values[inner, inner].reshape(-1, 3) for values in (lab, wanted))
    # A crop of nearly one colour has no spread to be matched: a larger factor would make noise colourful.
    spread = want.std(axis=0) / np.maximum(have.std(axis=0), _SPREAD)
    matched = ((lab - have.mean(axis=0)) * spread + want.mean(axis=0)).astype(np.float32)
    return np.clip(cv2.cvtColor(matched, cv2.COLOR_LAB2RGB), 0, 1)  # type: ignore[no-any-return]
