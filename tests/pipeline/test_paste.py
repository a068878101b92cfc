from __future__ import annotations

import time

import numpy as np
import pytest

from smoothswap.pipeline.ffhq import Square, crop, quad_from_points
from smoothswap.pipeline.paste import match_colour, paste


def _square(x: float, y: float, half: float) -> Square:
    return Square(np.array([x, y]) + half * np.array([(-1.0, -1), (-1, 1), (1, 1), (1, -1)]))


TILTED = quad_from_points(*(np.array(p, float) for p in ((80, 70), (110, 80), (78, 105), (98, 112))))


@pytest.fixture
def photo(noise: np.random.Generator) -> np.ndarray:
    """A smooth random picture, 8 bits."""
    rows, columns = np.mgrid[:160, :200]
    waves = [np.sin(rows / a + columns / b + c) for a, b, c in ((9, 14, 0), (-12, 8, 1), (17, -11, 2))]
    return np.stack([(wave + 1) * 100 + 20 for wave in waves], axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [128, 256])
def test_unchanged_crop_gives_the_picture_back(photo: np.ndarray, size: int) -> None:
    back = paste(photo, [crop(photo, TILTED, size)], [TILTED])
    assert np.abs(back.astype(int) - photo).max() <= 2


def test_outside_the_box_nothing_changes(photo: np.ndarray) -> None:
    out = paste(photo, [np.ones((64, 64, 3), np.float32)], [TILTED])
    rows, columns = np.mgrid[:160, :200]
    places = TILTED.to_crop(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float), 1).reshape(160, 200, 2)
    outside = (np.abs(places) >= 0.5).any(axis=2)
    assert np.array_equal(out[outside], photo[outside])
    middle = (np.abs(places) < 0.35).all(axis=2)
    assert (out[middle] == 255).all()
    between = out[~outside & ~middle].mean()
    assert photo[~outside & ~middle].mean() < between < 255


def test_16_bits_stay_16_bits(photo: np.ndarray) -> None:
    deep = photo.astype(np.uint16) * 257 + 3
    out = paste(deep, [crop(deep, TILTED, 256)], [TILTED])
    assert out.dtype == np.uint16
    assert np.abs(out.astype(int) - deep).max() < 300
    assert len(np.unique(out % 257)) > 100, "levels between those of 8 bits"


def test_overlapping_boxes_keep_their_own_middles(photo: np.ndarray) -> None:
    squares = [_square(80, 80, 40), _square(120, 80, 40)]
    crops = [np.full((32, 32, 3), level, np.float32) for level in (0.0, 1.0)]
    for order in ([0, 1], [1, 0]):
        out = paste(photo, [crops[i] for i in order], [squares[i] for i in order])
        assert out[80, 70:91].max() <= 1
        assert out[80, 110:131].min() >= 254
        assert 90 < out[80, 100].mean() < 165


def test_mask_weighs(photo: np.ndarray) -> None:
    mask = np.zeros((16, 16), np.float32)
    mask[:, 8:] = 1
    square = _square(80, 80, 40)
    out = paste(photo, [np.ones((16, 16, 3), np.float32)], [square], masks=[mask])
    assert np.array_equal(out[80, 50:70], photo[80, 50:70])
    assert (out[80, 90:105] == 255).all()


def test_originals_keep_fine_detail(noise: np.random.Generator) -> None:
    picture = noise.integers(60, 180, (160, 160, 3)).astype(np.uint8)
    square = _square(80, 80, 50)
    small = crop(picture, square, 16)
    assert np.array_equal(paste(picture, [small], [square], originals=[small]), picture)
    brighter = paste(picture, [small + np.float32(0.004)], [square], originals=[small])
    assert brighter[80, 80].astype(int) - picture[80, 80] == pytest.approx([1.0] * 3, abs=1)


@pytest.mark.parametrize("change", [0.15, -0.15])
def test_fine_detail_goes_where_a_crop_changed(noise: np.random.Generator, change: float) -> None:
    picture = noise.integers(60, 180, (160, 160, 3)).astype(np.uint8)
    square = _square(80, 80, 50)
    small = crop(picture, square, 16)
    other = small.copy()
    other[:, 8:] += np.float32(change)
    out = paste(picture, [other], [square], originals=[small])
    plain = paste(picture, [other], [square])
    assert np.abs(out[60:100, 40:70].astype(int) - picture[60:100, 40:70]).max() <= 1
    assert np.abs(out[60:100, 92:110].astype(int) - plain[60:100, 92:110]).max() <= 1


def test_match_colour() -> None:
    gradient = np.linspace(0.3, 0.6, 32, dtype=np.float32)[:, None, None] * np.ones((1, 32, 3), np.float32)
    reference = gradient * np.array([1.0, 0.8, 0.6], np.float32)
    matched = match_colour(gradient, reference)
    assert matched[8:24].mean(axis=(0, 1)) == pytest.approx(reference[8:24].mean(axis=(0, 1)), abs=0.02)


@pytest.mark.parametrize("noise_of_reference", [0.0, 0.004, 0.02])
def test_match_colour_makes_no_noise_colourful(noise: np.random.Generator, noise_of_reference: float) -> None:
    shape = (32, 32, 1)
    grey = (0.5 + 0.2 * noise.random(shape) * np.ones(3)).astype(np.float32)
    reference = np.clip(grey + noise_of_reference * noise.normal(size=(32, 32, 3)), 0, 1).astype(np.float32)
    barely = np.clip(grey + 1e-4 * noise.normal(size=(32, 32, 3)), 0, 1).astype(np.float32)
    matched = match_colour(barely, reference)
    assert (matched.max(axis=2) - matched.min(axis=2)).max() < 0.02 + 3 * noise_of_reference


def test_a_small_face_in_a_12_megapixel_photograph_is_quick() -> None:
    picture = np.zeros((3000, 4000, 3), np.uint8)
    square = _square(2000, 1500, 60)
    started = time.process_time()
    paste(picture, [np.ones((64, 64, 3), np.float32)], [square])
    copied = time.process_time() - started
    # A full-frame warp of float32 alone takes several times as long as the copy that is needed anyway.
    assert copied < 0.5
