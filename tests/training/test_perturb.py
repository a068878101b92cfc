"""What happens to a swapped face before the embedder sees it."""

from __future__ import annotations

import math

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.training.perturb import blur, perturb


def test_nothing_at_zero() -> None:
    images = torch.rand(2, 3, 16, 16)
    assert perturb(images, 0) is images
    assert blur(images, 0) is images


@pytest.mark.parametrize("largest", [1.4, 2.0, 2.5])
def test_a_dot_becomes_a_gaussian_of_a_width_in_the_range(largest: float) -> None:
    dot = torch.zeros(1, 2, 41, 41)
    dot[:, :, 20, 20] = 1.0
    place = torch.arange(41.0) - 20
    widths = []
    for seed in range(20):
        torch.manual_seed(seed)
        blurred = blur(dot, largest)
        assert blurred.sum((2, 3)) == pytest.approx(1, abs=1e-5)
        across, down = blurred[0, 0].sum(0), blurred[0, 1].sum(1)
        torch.testing.assert_close(across, down)
        widths.append(math.sqrt(float((across * place**2).sum())))
    # Sampled and cut off at three deviations, a Gaussian is a little narrower than its name.
    assert 0.45 * largest < min(widths) < 0.6 * largest
    assert 0.85 * largest < max(widths) <= largest


def test_a_pattern_of_four_pixels_fades_and_a_face_stays() -> None:
    """What the blur is for: dots that come again with every patch, beside shapes of a dozen pixels."""
    place = torch.arange(64)
    pattern = (place % 4 == 0).float().expand(1, 3, 64, 64)
    shape = torch.sin(place * 2 * math.pi / 32).expand(1, 3, 64, 64)
    inner = slice(8, -8)
    kept = [(blur(x, 1.4)[..., inner].std() / x[..., inner].std()).item() for x in (pattern, shape)]
    assert kept[0] < 0.6
    assert kept[1] > 0.9


@pytest.mark.parametrize(("side", "largest"), [(16, 8.0), (4, 1.4)])
def test_pictures_that_are_too_small_are_refused(side: int, largest: float) -> None:
    with pytest.raises(ArgumentError, match=f"too small for a blur of {largest:g} pixels"):
        blur(torch.rand(1, 3, side, 2 * side), largest)


def test_gradients_pass() -> None:
    images = torch.rand(1, 3, 12, 12, dtype=torch.float64, requires_grad=True)

    def seen(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return blur(perturb(x.float(), 0.5), 1.0).double()

    weights = torch.rand(1, 3, 12, 12, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((seen(images) * weights).sum(), images)
    step = torch.zeros_like(images)
    step[0, 1, 5, 6] = 0.5
    difference = ((seen(images + step) - seen(images)) * weights).sum() / 0.5
    assert difference.item() == pytest.approx(gradient[0, 1, 5, 6].item(), rel=1e-3)
