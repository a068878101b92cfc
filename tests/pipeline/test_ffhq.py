from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from smoothswap.core.errors import InputError
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.ffhq import (
    ARCFACE_112,
    Square,
    _blurred,
    arcface_square,
    crop,
    ffhq_square,
    quad_from_points,
)
from smoothswap.pipeline.paste import paste
from smoothswap.pipeline.picture import Picture


def _points(*values: tuple[float, float]) -> list[np.ndarray]:
    return [np.array(value, dtype=float) for value in values]


def _blob(height: int, width: int, x: float, y: float, sigma: float) -> np.ndarray:
    """A bright spot with its centre at (x, y), uint16."""
    rows, columns = np.mgrid[:height, :width]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat((spot * 60_000).astype(np.uint16)[:, :, None], 3, axis=2)


def _centroid(values: np.ndarray) -> tuple[float, float]:
    weights = values[:, :, 0].astype(float)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return float((columns * weights).sum() / weights.sum()), float((rows * weights).sum() / weights.sum())


def test_quad_by_hand() -> None:
    # Eyes (100, 100) (140, 100), mouth corners (108, 150) (132, 150): e2e = (40, 0), e2m = (0, 50), eA = (120, 100).
    # x = (40, 0) − (50, 0)·(−1, 1) = (90, 0); its length becomes max(2·40, 1.8·50) = 90; y = (0, 90); c = (120, 105).
    square = quad_from_points(*_points((100, 100), (140, 100), (108, 150), (132, 150)))
    assert square.corners == pytest.approx(np.array([(30, 15), (30, 195), (210, 195), (210, 15)]))
    assert square.side == pytest.approx(180)


def test_quad_where_the_eyes_decide() -> None:
    # A short face: 2·|e2e| = 160 > 1.8·|e2m| = 72.
    square = quad_from_points(*_points((0, 0), (80, 0), (20, 40), (60, 40)))
    assert square.side == pytest.approx(320)
    assert square.centre == pytest.approx([40, 4])


def test_quad_turns_with_the_face() -> None:
    points = np.array(_points((100, 100), (140, 100), (108, 150), (132, 150)))
    angle = np.deg2rad(37)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    straight, turned = quad_from_points(*points), quad_from_points(*(points @ turn.T))
    assert turned.corners == pytest.approx(straight.corners @ turn.T)


def test_68_points_count_before_five() -> None:
    marks = np.zeros((68, 2))
    marks[36:42], marks[42:48], marks[48], marks[54] = (100, 100), (140, 100), (108, 150), (132, 150)
    marks[36, 1] += 6
    marks[39, 1] -= 6
    face = Face(box=(0, 0, 1, 1), points=np.ones((5, 2)), score=1, landmarks=marks)
    assert ffhq_square(face).corners[0] == pytest.approx([30, 15])


def test_points_that_coincide() -> None:
    with pytest.raises(InputError, match="coincide"):
        quad_from_points(*_points((5, 5), (5, 5), (5, 5), (5, 5)))
    with pytest.raises(InputError, match="coincide"):
        arcface_square(np.ones((5, 2)))


def test_arcface_square_puts_the_points_onto_the_template() -> None:
    angle, scale, shift = 0.4, 3.0, np.array([50, -20])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = ARCFACE_112 @ turn.T + shift
    square = arcface_square(points)
    assert square.side == pytest.approx(3 * 112)
    assert square.to_crop(points, 112) == pytest.approx(ARCFACE_112)
    # Pixel-centre scaling: x of 112 is 2·(x + 0.5) − 0.5 of 224.
    assert square.to_crop(points, 224) == pytest.approx(2 * ARCFACE_112 + 0.5)


def test_mapping_there_and_back() -> None:
    square = quad_from_points(*_points((100, 90), (140, 110), (95, 150), (120, 160)))
    points = np.array([[3.0, 70.0], [99.0, 111.0]])
    assert square.to_crop(square.to_picture(points, 64), 64) == pytest.approx(points)


def test_an_axis_aligned_square_of_the_same_size_is_the_picture_itself(noise: np.random.Generator) -> None:
    picture = noise.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    edges = np.array([(7.5, 9.5), (7.5, 41.5), (39.5, 41.5), (39.5, 9.5)])
    cut = crop(picture, Square(edges), 32)
    assert np.array_equal((cut * 255).round().astype(np.uint8), picture[10:42, 8:40])


def test_shrinking_averages(noise: np.random.Generator) -> None:
    picture = noise.integers(0, 256, (96, 96, 3)).astype(np.uint8)
    whole = Square(np.array([(-0.5, -0.5), (-0.5, 95.5), (95.5, 95.5), (95.5, -0.5)]))
    means = picture.reshape(24, 4, 24, 4, 3).mean(axis=(1, 3)) / 255
    assert crop(picture, whole, 24) == pytest.approx(means, abs=1e-5)


@pytest.mark.parametrize("size", [48, 64, 150, 300])
@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_no_half_pixel_shift(size: int, angle: float) -> None:
    x, y = 101.3, 88.6
    picture = _blob(180, 200, x, y, 6)
    direction = 60 * np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    c = np.array([99.0, 91.0])
    square = Square(
        np.stack([c - direction - across, c - direction + across, c + direction + across, c + direction - across])
    )
    cut = crop(picture, square, size)
    assert _centroid(cut) == pytest.approx(tuple(square.to_crop(np.array([[x, y]]), size)[0]), abs=0.06)
    back = paste(np.zeros_like(picture), [cut], [square])
    assert _centroid(back) == pytest.approx((x, y), abs=0.06)


@pytest.mark.parametrize("corner", [(0, 0), (199, 0), (199, 179), (0, 179)])
def test_border_goes_on_smoothly_and_keeps_the_picture(noise: np.random.Generator, corner: tuple[int, int]) -> None:
    picture = noise.integers(0, 256, (180, 200, 3)).astype(np.uint8)
    c, half = np.array(corner, dtype=float), 32
    edges = c + half * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
    cut = crop(picture, Square(edges), 64)
    x0, y0 = (int(max(0, half - value)) for value in corner)
    inside = picture[max(corner[1] - half, 0) : corner[1] + half, max(corner[0] - half, 0) : corner[0] + half]
    assert cut.shape == (64, 64, 3)
    assert np.isfinite(cut).all()
    # Crop pixel i lies at corner − 31.5 + i: half a pixel beside the picture's pixels, so only means are compared.
    part = cut[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
    assert part.mean() == pytest.approx(inside.mean() / 255, abs=0.02)
    far = cut[:8, :8] if corner[0] and corner[1] == 0 else cut
    assert far.std() < inside.std() / 255


def _turned_square(centre: tuple[float, float], half: float, angle: float = 0.0) -> Square:
    direction = half * np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    c = np.array(centre)
    return Square(
        np.stack([c - direction - across, c - direction + across, c + direction + across, c + direction - across])
    )


def _continued_in_full(picture: np.ndarray, square: Square, size: int) -> tuple[np.ndarray, np.ndarray]:
    """FFHQ's recipe pixel by pixel of the photograph: the crop, and the share of each crop pixel that was invented."""
    pad, side = int(square.side), square.side
    height, width = picture.shape[:2]
    larger = cv2.copyMakeBorder(picture.astype(np.float32), pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    rows, columns = np.arange(height + 2 * pad) - pad, np.arange(width + 2 * pad) - pad
    out = np.maximum.outer(
        np.maximum(np.maximum(-rows, rows - height + 1), 0), np.maximum(np.maximum(-columns, columns - width + 1), 0)
    ).astype(np.float32)[:, :, None]
    larger += (cv2.GaussianBlur(larger, (0, 0), 0.02 * side) - larger) * np.clip(out / (0.05 * side), 0, 1)
    x0, y0, x1, y1 = square.bounds(height, width, margin=3)
    mean = picture[y0:y1, x0:x1].mean((0, 1), dtype=np.float64).astype(np.float32)
    larger += (mean - larger) * np.clip((out - 0.1 * side) / (0.5 * side), 0, 1)
    fold = int(np.ceil(side / size))
    matrix = square.matrix(size * fold)
    matrix[:, 2] += pad
    seen = [
        cv2.warpAffine(values, matrix, (size * fold, size * fold), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        for values in (larger, (out > 0).astype(np.float32))
    ]
    crop_, invented = (cv2.resize(values, (size, size), interpolation=cv2.INTER_AREA) for values in seen)
    return crop_ / np.iinfo(picture.dtype).max, invented


LARGE = [
    ("uint8", 900, 64, (450.0, 450.0), 470, 0.0),
    ("uint8", 900, 32, (60.0, 300.0), 330, 0.3),
    ("uint16", 1200, 64, (1150.0, 1100.0), 420, -0.8),
    ("uint8", 700, 40, (350.0, 60.0), 200, 0.1),
]


@pytest.mark.parametrize(("dtype", "side", "size", "centre", "half", "angle"), LARGE)
def test_a_large_square_over_the_border_looks_as_in_full_resolution(
    astronaut: Picture, dtype: str, side: int, size: int, centre: tuple[float, float], half: float, angle: float
) -> None:
    picture: Any = cv2.resize(astronaut.pixels, (side, side), interpolation=cv2.INTER_CUBIC)
    if dtype == "uint16":
        picture = picture.astype(np.uint16) * np.uint16(257)
    square = _turned_square(centre, half, angle)
    wanted, invented = _continued_in_full(picture, square, size)
    difference = np.abs(crop(picture, square, size) - wanted).max(axis=2) * 255
    assert difference[invented == 0].max(initial=0) < 8
    assert difference.mean() < 1.5


@pytest.mark.parametrize("side", [500, 1000, 3000])
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("over", [0.51, 0.75])
def test_what_is_continued_grows_with_the_crop(
    monkeypatch: pytest.MonkeyPatch, noise: np.random.Generator, side: int, size: int, over: float
) -> None:
    counted: dict[str, int] = {}

    def counting(name: str) -> None:
        real = getattr(cv2, name)

        def call(source: np.ndarray, *rest: Any, **options: Any) -> np.ndarray:
            made: np.ndarray = real(source, *rest, **options)
            counted[name] = max(counted.get(name, 0), made.shape[0] * made.shape[1])
            return made

        monkeypatch.setattr(cv2, name, call)

    for name in ("copyMakeBorder", "GaussianBlur", "warpAffine"):
        counting(name)
    picture = cv2.resize(noise.integers(0, 256, (40, 40, 3)).astype(np.uint8), (side, side))
    crop(picture, _turned_square((side / 2, side / 2), over * side, 0.2), size)
    assert counted.keys() == {"copyMakeBorder", "GaussianBlur", "warpAffine"}
    # A square of at most 8 crops' sides, turned: its bounding rectangle has at most twice its area.
    assert max(counted.values()) < 2 * (8 * size + 8) ** 2


def test_a_strong_blur_is_the_same_in_a_smaller_picture(astronaut: Picture) -> None:
    values = cv2.resize(astronaut.pixels, (800, 600)).astype(np.float32)
    for sigma in (7.0, 20.0, 55.0):
        difference = np.abs(_blurred(values, sigma) - cv2.GaussianBlur(values, (0, 0), sigma))
        assert difference.mean() < 0.5
        assert difference.max() < 7  # in a corner, where the mirror lies a little elsewhere
    assert _blurred(np.full((300, 7, 3), 9, np.float32), 40.0) == pytest.approx(9)


def test_square_beside_the_picture() -> None:
    far = Square(np.array([(500, 500), (500, 520), (520, 520), (520, 500.0)]))
    with pytest.raises(InputError, match="outside the picture"):
        crop(np.zeros((50, 50, 3), np.uint8), far, 16)
