"""Augmentation: each change by itself, its range, and its seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.data.augment import Augment

GEOMETRY = ("flip", "shift", "zoom", "turn")
COLOUR = ("brightness", "contrast", "saturation", "tint")
OFF = dict.fromkeys((*GEOMETRY, *COLOUR, "blur", "shrink", "erase"), 0.0)


def augment(images: Tensor, seed: int = 0, **options: float) -> Tensor:
    """Only the named changes, the others off."""
    return Augment(Augment.Config.make(OFF | options))(images, torch.Generator().manual_seed(seed))


def smooth(count: int = 64, side: int = 16) -> Tensor:
    """[count, 3, side, side]: a ramp along x in red, along y in green, nothing in blue."""
    ramp = torch.linspace(-0.5, 0.5, side)
    return torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side), torch.zeros(side, side)]).repeat(
        count, 1, 1, 1
    )


def test_all_off_changes_nothing() -> None:
    images = torch.rand(4, 3, 8, 8) * 2 - 1
    assert torch.equal(augment(images), images)


def test_defaults_stay_in_range_and_differ_by_picture() -> None:
    images = smooth(32)
    before = images.clone()
    changed = Augment(Augment.Config())(images, torch.Generator().manual_seed(0))
    assert torch.equal(images, before), "the given batch is left alone"
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert len({tuple(x.flatten().tolist()) for x in changed}) == 32


def test_same_seed_same_changes() -> None:
    images, on = smooth(8), Augment(Augment.Config())
    first, second, other = (on(images, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_generator_moves_on_alike_whatever_is_switched_on() -> None:
    states = []
    for options in (OFF, {}):
        generator = torch.Generator().manual_seed(0)
        Augment(Augment.Config.make(options))(smooth(3), generator)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])


def test_flip_mirrors_about_half_of_them() -> None:
    images = smooth()
    changed = augment(images, flip=0.5)
    mirrored = [torch.allclose(x, y.flip(2), atol=1e-5) for x, y in zip(changed, images, strict=True)]
    kept = [torch.allclose(x, y, atol=1e-5) for x, y in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


@pytest.mark.parametrize("channel", [0, 1])
def test_shift_by_at_most_its_part(channel: int) -> None:
    # Away from the border a shift by d pixels adds d/15 to the ramp; 0.125 of 16 pixels are 2.
    middle = augment(smooth(256), shift=0.125)[:, channel, 6:10, 6:10].mean((1, 2)) * 15
    assert middle.abs().max() <= 2 + 1e-3
    assert middle.max() > 1.8
    assert middle.min() < -1.8


def test_zoom_scales_about_the_centre() -> None:
    inner = augment(smooth(256), zoom=0.2)[:, 0, 8, 5:11]
    slope = (inner[:, -1] - inner[:, 0]) / 5 * 15
    assert slope.min() == pytest.approx(1 / 1.2, abs=0.02)
    assert slope.max() == pytest.approx(1 / 0.8, abs=0.02)


def test_turn_by_at_most_its_degrees() -> None:
    inner = augment(smooth(256), turn=30.0)[:, 0]
    along_x = (inner[:, 8, 10] - inner[:, 8, 5]) / 5 * 15
    along_y = (inner[:, 10, 8] - inner[:, 5, 8]) / 5 * 15
    degrees = torch.rad2deg(torch.atan2(along_y, along_x))
    assert degrees.abs().max() <= 30.1
    assert degrees.max() > 27
    assert degrees.min() < -27
    torch.testing.assert_close(along_x**2 + along_y**2, torch.ones(256), rtol=0, atol=1e-3)


def test_brightness_adds_one_number_to_each_picture() -> None:
    difference = augment(smooth(256), brightness=0.3) - smooth(256)
    assert difference.flatten(1).std(1).max() < 1e-6
    assert difference.abs().max() <= 0.3 + 1e-6
    assert difference.max() > 0.27


def test_contrast_scales_about_the_mean() -> None:
    images = smooth(256) + 0.2
    changed = augment(images, contrast=0.25)
    torch.testing.assert_close(changed.mean((1, 2, 3)), images.mean((1, 2, 3)))
    ratio = changed.flatten(1).std(1) / images.flatten(1).std(1)
    assert ratio.min() == pytest.approx(0.75, abs=0.02)
    assert ratio.max() == pytest.approx(1.25, abs=0.02)


def test_saturation_leaves_grey_alone() -> None:
    grey = torch.rand(8, 1, 6, 6).expand(8, 3, 6, 6)
    torch.testing.assert_close(augment(grey, saturation=1.0), grey)
    assert not torch.allclose(augment(smooth(8), saturation=0.5), smooth(8))


def test_tint_multiplies_channels_and_keeps_black() -> None:
    black = -torch.ones(4, 3, 6, 6)
    torch.testing.assert_close(augment(black, tint=0.5), black)
    gains = (augment(torch.zeros(256, 3, 4, 4), tint=0.1) + 1).mean((2, 3))
    assert gains.min() >= 0.9
    assert gains.max() <= 1.1
    assert gains.std(1).mean() > 0.03, "channels differ"


def test_blur_keeps_flat_pictures_and_smooths_noise() -> None:
    flat = torch.full((8, 3, 16, 16), 0.25)
    torch.testing.assert_close(augment(flat, blur=1.0), flat)
    noise = torch.rand(64, 3, 64, 64) - 0.5
    ratio = augment(noise, blur=1.0).flatten(1).std(1) / noise.flatten(1).std(1)
    assert ratio.max() <= 1.001
    assert ratio.min() < 0.5


def test_blur_hits_its_share() -> None:
    noise = torch.rand(200, 3, 8, 8) - 0.5
    changed = (augment(noise, blur=0.25, blur_sigma=0.2) != noise).flatten(1).any(1)
    assert 25 < int(changed.sum()) < 75


def test_shrink_removes_single_pixels_and_keeps_the_size() -> None:
    stripes = torch.ones(8, 3, 16, 16)
    stripes[..., ::2] = -1
    changed = augment(stripes, shrink=1.0, shrink_most=4.0)
    assert changed.shape == stripes.shape
    assert changed.flatten(1).std(1).min() < 0.3


def test_erase_covers_rectangles_of_at_most_its_side() -> None:
    ones = torch.ones(256, 3, 20, 20)
    hole = augment(ones, erase=1.0, erase_side=0.3)[:, 0] == 0
    assert hole.any(1).sum(1).max() == 6
    assert hole.any(2).sum(1).max() == 6
    one = hole[int(hole.flatten(1).sum(1).argmax())]
    assert int(one.sum()) == int(one.any(0).sum() * one.any(1).sum()), "a rectangle"
    assert not augment(ones, erase=0.0).eq(0).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    assert Augment(Augment.Config())(smooth(4).to(dtype), torch.Generator()).dtype == dtype


def test_errors() -> None:
    on = Augment(Augment.Config())
    with pytest.raises(ArgumentError, match="dtype torch.uint8"):
        on(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.Generator())
    with pytest.raises(ArgumentError, match=r"shape \[3, 8, 8\]"):
        on(torch.zeros(3, 8, 8), torch.Generator())
    with pytest.raises(ConfigError, match="flip"):
        Augment.Config(flip=1.5)
