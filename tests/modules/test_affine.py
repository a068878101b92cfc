"""Images mirrored, turned, scaled and shifted: checked against what flips, turns and crops of the pixels give."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from smoothswap.modules.affine import resample_affine

ONES, NOWHERE = torch.ones(2), torch.zeros(2, 2)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_nothing_asked_nothing_changed(images: Tensor, mode: str) -> None:
    torch.testing.assert_close(resample_affine(images, size=ONES, shift=NOWHERE, mode=mode), images)


def test_mirror_and_turn_are_those_of_the_pixels(images: Tensor) -> None:
    mirror = torch.tensor([-1.0, 1.0])
    moved = resample_affine(images, size=ONES, shift=NOWHERE, mirror=mirror)
    torch.testing.assert_close(moved, torch.stack([images[0].flip(2), images[1]]))
    angle = torch.tensor([math.pi / 2, math.pi])
    turned = resample_affine(images, size=ONES, shift=NOWHERE, angle=angle)
    quarter, half = images[0].rot90(1, (1, 2)), images[1].rot90(2, (1, 2))
    torch.testing.assert_close(turned, torch.stack([quarter, half]), atol=1e-5, rtol=0)


def test_shift_is_in_shares_of_the_side_and_the_border_is_reflected(images: Tensor) -> None:
    shift = torch.tensor([[0.25, 0.0], [0.0, 0.5]])  # across of both, then down of both
    moved = resample_affine(images, size=ONES, shift=shift)
    torch.testing.assert_close(moved[0, ..., :9], images[0, ..., 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[0, ..., 9:], images[0, ..., 9:].flip(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[1, :, :6], images[1, :, 6:], atol=1e-5, rtol=0)


def test_a_size_of_two_shows_twice_as_much() -> None:
    square = torch.zeros(1, 1, 32, 32)
    square[..., 8:24, 8:24] = 1.0
    smaller = resample_affine(square, size=torch.full((1,), 2.0), shift=torch.zeros(2, 1))
    assert smaller[..., 13:19, 13:19].min() == pytest.approx(1, abs=1e-5)
    assert smaller[..., 5:11, 5:11].abs().max() < 1e-5


def test_gradients_reach_the_images(images: Tensor) -> None:
    leaf = images.double().requires_grad_()
    size, shift = ONES.double() * 1.1, torch.full((2, 2), 0.03, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: resample_affine(x, size=size, shift=shift), leaf[:, :1, :6, :6])
