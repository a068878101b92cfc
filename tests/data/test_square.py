"""The centre square: where it is cut, and that it is antialiased."""

from __future__ import annotations

import numpy as np
import torch

from smoothswap.data.square import centre_square


def test_the_right_size_passes_unchanged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    square = centre_square(pixels, 9)
    assert square.dtype == torch.uint8
    assert torch.equal(square, torch.from_numpy(pixels).permute(2, 0, 1))


def test_cuts_the_middle_of_either_side() -> None:
    pixels = np.zeros((4, 10, 3), np.uint8)
    pixels[:, 3:7] = 200
    assert (centre_square(pixels, 4) == 200).all()
    assert (centre_square(pixels.transpose(1, 0, 2), 4) == 200).all()


def test_shrinking_averages() -> None:
    # Single-pixel stripes must become grey; without antialiasing they come out black or white.
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2] = 255
    inside = centre_square(pixels, 16)[:, 2:-2, 2:-2].float()
    assert (inside - 127.5).abs().max() < 4


def test_shrinking_does_not_shift() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 64, axis=0).repeat(3, axis=2)
    small = centre_square(ramp, 16)[0, 8].float()
    centres = (torch.arange(16) + 0.5) * 4 - 0.5
    assert (small - 4 * centres)[2:-2].abs().max() <= 1


def test_enlarging() -> None:
    assert centre_square(np.full((3, 5, 3), 77, np.uint8), 8).unique().tolist() == [77]
