"""truth: values by hand, and what a wrong batch is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.losses.swap_batch import SwapBatch
from smoothswap.losses.truth import TruthLoss


def truth_loss(swapped: torch.Tensor, truth: torch.Tensor | None, **options: Any) -> torch.Tensor:
    target = torch.full_like(swapped, 0.25)  # what is not read
    batch = SwapBatch(swapped, target, target, torch.zeros(len(swapped)) > 0, truth=truth)
    return TruthLoss(TruthLoss.Config(**options))(batch)


def one_pixel(value: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of 5 px; the swap of the second is off in one channel of its middle pixel."""
    truth = torch.full((2, 3, 5, 5), 0.5)
    swapped = truth.clone()
    swapped[1, 2, 2, 2] += value
    return swapped, truth


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_by_hand(sign: float) -> None:
    swapped, truth = one_pixel(9 * sign)
    numbers = 2 * 3 * 25
    assert truth_loss(swapped, truth).item() == pytest.approx(9 / numbers)
    assert truth_loss(swapped, truth, absolute=0.0, square=2.0).item() == pytest.approx(2 * 81 / numbers)
    # The mean of the nine pixels around it is 1: 8 remain of the pixel itself, 1 of each of its eight neighbours.
    assert truth_loss(swapped, truth, absolute=0.0, edges=0.5).item() == pytest.approx(0.5 * (8 + 8) / numbers)
    together = (3 * 9 + 2 * 81 + 0.5 * 16) / numbers
    assert truth_loss(swapped, truth, absolute=3.0, square=2.0, edges=0.5).item() == pytest.approx(together)


def test_an_even_difference_has_no_edges_not_even_at_the_border() -> None:
    truth = torch.zeros(1, 3, 6, 6)
    assert truth_loss(truth + 0.5, truth, absolute=0.0, edges=1.0).item() == pytest.approx(0, abs=1e-7)
    assert truth_loss(truth + 0.5, truth).item() == pytest.approx(0.5)


def test_the_true_swap_costs_nothing() -> None:
    truth = torch.rand(2, 3, 8, 8)
    assert truth_loss(truth, truth, square=1.0, edges=1.0).item() == 0


def test_gradient() -> None:
    swapped = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    truth = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: truth_loss(x, truth, square=0.7, edges=0.3), swapped)


def test_half_precision_is_added_up_in_float32() -> None:
    swapped, truth = (images.bfloat16() for images in one_pixel(1.0))
    loss = truth_loss(swapped, truth, square=1.0, edges=1.0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((1 + 1 + 16 / 9) / 150, rel=1e-5)


def test_errors() -> None:
    images = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ArgumentError, match=r"the batch has no truth(?s:.*)faceworld_swaps"):
        truth_loss(images, None)
    with pytest.raises(ArgumentError, match=r"swapped has shape \[2, 3, 4, 4\], truth has shape \[1, 3, 4, 4\]"):
        truth_loss(images, images[:1])
    with pytest.raises(ArgumentError, match="truth has dtype torch.uint8"):
        truth_loss(images, images.to(torch.uint8))
    with pytest.raises(ArgumentError, match="swapped holds 1 values of 96 that are NaN or infinite"):
        truth_loss(images.index_put((torch.tensor(0),) * 4, torch.tensor(torch.nan)), images)
    with pytest.raises(ConfigError, match="'edges' of TruthLoss cannot be -1"):
        TruthLoss.Config(edges=-1)
