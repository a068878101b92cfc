"""Random changes of targets and of their true swaps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smoothswap.training.augment_targets import augment_targets
from smoothswap.training.swap_inputs import SwapInputs


def smooth_pictures(B: int, S: int) -> Tensor:
    """[B, 3, S, S]: waves that a resampling keeps."""
    place = torch.linspace(0, 2, S)
    wave = torch.sin(place[:, None] * 2) * torch.cos(place * 3)
    return 0.6 * torch.stack([wave, wave.T, wave.flip(0)]).expand(B, -1, -1, -1).clone()


def inputs(B: int = 6, S: int = 32, **own: Tensor) -> SwapInputs:
    target = smooth_pictures(B, S)
    return SwapInputs(target, target + 0.1, torch.ones(B, dtype=torch.bool), **own)


def test_nothing_at_zero() -> None:
    pairs = inputs()
    assert augment_targets(pairs, 0) is pairs


def test_target_and_truth_change_alike_and_the_source_stays() -> None:
    torch.manual_seed(0)
    pairs = inputs(truth=smooth_pictures(6, 32))
    changed = augment_targets(pairs, 1.0)
    assert changed.truth is not None
    torch.testing.assert_close(changed.truth, changed.target)
    assert changed.source is pairs.source
    each = (changed.target - pairs.target).abs().amax((1, 2, 3))
    assert (each > 0.05).all()  # every pair, by its own draws
    assert len(each.unique()) == len(each)
    assert changed.target.abs().max() <= 1


def test_masks_move_with_the_pictures_and_keep_their_values() -> None:
    """A mask that is the brightness of the picture: where one goes the other goes."""
    torch.manual_seed(3)
    square = torch.zeros(4, 1, 64, 64)
    square[:, :, 20:40, 24:48] = 1.0
    picture = (2 * square - 1).expand(-1, 3, -1, -1)
    pairs = SwapInputs(picture, picture, torch.ones(4, dtype=torch.bool), picture, square.expand(-1, 2, -1, -1))
    changed = augment_targets(pairs, 0.7)
    assert changed.face is not None
    assert changed.face.shape == (4, 2, 64, 64)
    bright = changed.target.mean(1, keepdim=True) > 0
    inside = changed.face[:, :1] > 0.5
    assert (bright == inside).float().mean() > 0.99
    assert not torch.equal(inside, square > 0.5)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_pictures_stay_centred_and_become_softer_or_sharper(strength: float) -> None:
    torch.manual_seed(0)
    noise = torch.rand(200, 1, 16, 16).expand(-1, 3, -1, -1) - 0.5
    changed = augment_targets(SwapInputs(noise, noise, torch.zeros(200, dtype=torch.bool)), strength).target

    def detail(x: Tensor) -> Tensor:
        return (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))

    ratio = detail(changed) / detail(noise)
    assert ratio.min() < 1 - 0.3 * strength
    assert ratio.max() > 1 + 0.3 * strength
    assert changed.mean() == pytest.approx(0, abs=0.25)


def test_the_memory_order_stays() -> None:
    picture = torch.rand(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    changed = augment_targets(SwapInputs(picture, picture, torch.zeros(2, dtype=torch.bool)), 0.5)
    assert changed.target.is_contiguous(memory_format=torch.channels_last)
    assert changed.truth is None


def test_the_same_seed_gives_the_same_changes() -> None:
    torch.manual_seed(5)
    first = augment_targets(inputs(), 0.6).target
    torch.manual_seed(5)
    assert torch.equal(augment_targets(inputs(), 0.6).target, first)
