from __future__ import annotations

import math

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import fidelity
from smoothswap.evaluation.fidelity import CEILING, psnr


def test_psnr_by_hand() -> None:
    a = torch.zeros(2, 3, 4, 4)
    b = a.clone()
    b[0] += 0.2  # mean square 0.04: 10·log10(4 / 0.04) = 20 dB
    b[1, 0, 0, 0] = 2  # 4 spread over 48 values: 10·log10(48)
    assert psnr(a, b).tolist() == pytest.approx([20.0, 10 * math.log10(48)], abs=1e-5)


def test_psnr_in_a_mask_sees_only_the_mask() -> None:
    a = torch.zeros(1, 3, 4, 4)
    b = a.clone()
    b[..., :2] = 0.2
    b[..., 2:] = 2.0
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1.0
    assert psnr(a, b, mask).item() == pytest.approx(20.0, abs=1e-5)
    assert psnr(a, b, 1 - mask).item() == pytest.approx(0.0, abs=1e-5)


def test_black_against_white_is_zero_decibels() -> None:
    assert psnr(torch.full((1, 3, 2, 2), -1.0), torch.ones(1, 3, 2, 2)).item() == 0.0


def test_equal_pictures_reach_the_ceiling() -> None:
    picture = torch.rand(1, 3, 8, 8)
    assert psnr(picture, picture).item() == pytest.approx(CEILING)
    # The ceiling is what rounding to 8 bits costs on average.
    torch.manual_seed(0)
    values = torch.rand(1, 3, 128, 128) * 2 - 1
    written = ((values + 1) * 127.5).round() / 127.5 - 1
    assert psnr(values, written).item() == pytest.approx(CEILING, abs=0.1)


def test_an_empty_mask_gives_no_number() -> None:
    assert psnr(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), torch.zeros(1, 1, 2, 2)).isnan().all()


def test_change_made_by_hand() -> None:
    target = torch.zeros(1, 3, 2, 2)
    truth = target + 0.5
    everywhere = torch.ones(1, 1, 2, 2)

    def share(swapped: torch.Tensor) -> float:
        made, of = fidelity.change_made(swapped, target, truth, everywhere)
        return float(made / of)

    assert share(target) == 0.0
    assert share(truth) == 1.0
    assert share(target + 0.2) == pytest.approx(0.4)
    assert share(target - 0.5) == -1.0
    sideways = target.clone()
    sideways[:, 0], sideways[:, 1] = 0.3, -0.3  # a change of colour at right angles to the true one
    assert share(sideways) == pytest.approx(0.0, abs=1e-7)


def test_change_is_counted_in_the_mask_alone() -> None:
    target, truth = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    swapped = target.clone()
    swapped[..., 0] = 1.0
    left = torch.tensor([[1.0, 0.0], [1.0, 0.0]])[None, None]
    made, of = fidelity.change_made(swapped, target, truth, left)
    assert (made.item(), of.item()) == (6.0, 6.0)
    made, of = fidelity.change_made(swapped, target, truth, 1 - left)
    assert (made.item(), of.item()) == (0.0, 6.0)


def _disc(radius: float, size: int = 16) -> torch.Tensor:
    line = torch.arange(size) - (size - 1) / 2
    return ((line[:, None] ** 2 + line**2).sqrt() <= radius).float()[None, None]


def test_outline_is_where_heads_differ_and_grows_by_its_margin() -> None:
    small, large = _disc(3), _disc(5)
    ring = fidelity.outline(small, large, margin=0)
    assert torch.equal(ring, large - small)
    grown = fidelity.outline(small, large, margin=1)
    assert (grown >= ring).all()
    assert grown.sum() > ring.sum()
    assert grown[0, 0, 7, 7] == 0  # the middle of both heads is no outline
    assert torch.equal(fidelity.outline(small, large, 2), fidelity.outline(large, small, 2))
    assert fidelity.outline(small, small, 1).sum() == 0


def test_background_stops_at_the_faintest_edge_of_any_head() -> None:
    one, other = torch.zeros(2, 1, 1, 1, 5).unbind()
    one[..., 0], one[..., 1] = 1.0, 0.25
    other[..., 4] = 0.25
    assert fidelity.background(one, other).flatten().tolist() == [0, 0, 1, 1, 0]


def test_gain_of_the_planted_answers() -> None:
    torch.manual_seed(0)
    target, truth = (torch.rand(2, 4, 3, 8, 8) * 2 - 1).unbind()
    copied = psnr(target, truth)
    assert (psnr(truth, truth) - copied > 40).all()
    halfway = (target + truth) / 2  # half the error: 20·log10(2)
    assert (psnr(halfway, truth) - copied).tolist() == pytest.approx([20 * math.log10(2)] * 4, abs=1e-4)


def test_psnr_of_the_background_ignores_the_heads() -> None:
    target = torch.zeros(1, 3, 16, 16)
    head, other = _disc(3), _disc(4)
    swapped = target + 2 * _disc(4)
    mask = fidelity.background(head, other)
    assert psnr(swapped, target, mask).item() == pytest.approx(CEILING)
    assert psnr(target + 2 * _disc(5), target, mask).item() < 20


def test_shapes_must_agree() -> None:
    with pytest.raises(ArgumentError, match=r"\[1, 3, 2, 2\] and \[1, 3, 4, 4\]"):
        psnr(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ArgumentError, match=r"mask: \[1, 3, 2, 2\]"):
        psnr(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
