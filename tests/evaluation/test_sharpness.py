from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.sharpness import detail, high_pass

SIZE = 32
INSIDE = F.pad(torch.ones(1, 1, SIZE - 8, SIZE - 8), (4, 4, 4, 4))


def wave(period: int, along: int = -1) -> Tensor:
    """[1, 3, 32, 32]: a cosine along one axis, whole periods inside of the border."""
    line = torch.cos(2 * math.pi * torch.arange(SIZE, dtype=torch.float64) / period)
    image = line.expand(1, 3, SIZE, SIZE)
    return image if along == -1 else image.mT.contiguous()


def blur(image: Tensor) -> Tensor:
    """By [1 2 1] / 4 along both axes."""
    line = torch.tensor([1.0, 2.0, 1.0], dtype=image.dtype) / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)


@pytest.mark.parametrize("along", [-1, -2])
@pytest.mark.parametrize(("period", "gain"), [(8, 0.5 - math.sqrt(0.125)), (4, 0.5), (2, 1.0)])
def test_the_share_of_a_wave_that_passes(period: int, gain: float, along: int) -> None:
    # sin²(ω / 2) for ω = π/4, π/2 (half of Nyquist), π (Nyquist).
    image = wave(period, along)
    assert torch.allclose((high_pass(image) - gain * image) * INSIDE, torch.zeros(()).double(), atol=1e-12)
    square = 0.5 if period > 2 else 1.0  # mean square of the wave
    assert detail(image, INSIDE).item() == pytest.approx(gain**2 * square * 3 * 24 * 24)


def test_what_does_not_change_has_no_detail_up_to_the_border() -> None:
    assert detail(torch.full((2, 3, 8, 8), 0.7), torch.ones(2, 1, 8, 8)).tolist() == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize(("period", "ratio"), [(8, (0.5 + math.sqrt(0.125)) ** 2), (4, 0.25), (2, 0.0)])
def test_a_known_blur_gives_the_known_ratio(period: int, ratio: float) -> None:
    # [1 2 1] / 4 lets cos²(ω / 2) of the amplitude pass, so cos⁴(ω / 2) of the energy.
    image = wave(period)
    told = (detail(blur(image), INSIDE) / detail(image, INSIDE)).item()
    assert told == pytest.approx(ratio, abs=1e-12)


def test_identity_gives_one_and_noise_more() -> None:
    torch.manual_seed(0)
    image = wave(8).expand(4, -1, -1, -1)
    mask = INSIDE.expand(4, -1, -1, -1)
    noise = 0.1 * torch.randn(4, 3, SIZE, SIZE, dtype=torch.float64)
    truth = detail(image, mask)
    assert (detail(image.clone(), mask) / truth).tolist() == [1.0] * 4
    noisy = detail(image + noise, mask)
    assert (noisy > truth).all()
    # White noise adds its variance times ‖h‖² = 1 − 2 · 4/16 + (6/16)² for each pixel and channel.
    added = (noisy - truth).sum().item() / (4 * 3 * 24 * 24)
    assert added == pytest.approx(0.01 * 0.640625, rel=0.05)


def test_only_the_mask_counts_but_its_edge_is_none() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1.0
    left = torch.zeros(1, 1, 8, 8)
    left[..., :3] = 1.0
    assert detail(image, left).item() == 0.0  # flat inside, and the step of the mask is not one of the image
    left[..., 3] = 0.6  # above one half: next to the step, h gives −1/4
    assert detail(image, left).item() == pytest.approx(3 * 8 / 16)
    left[..., 3] = 0.5
    assert detail(image, left).item() == 0.0


def test_it_does_not_see_whether_the_detail_is_the_right_one() -> None:
    image = wave(4)
    assert detail(-image, INSIDE).item() == pytest.approx(detail(image, INSIDE).item())


def test_shapes_must_go_together() -> None:
    with pytest.raises(ArgumentError, match=r"mask: \[1, 3, 8, 8\]"):
        detail(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ArgumentError, match="2 x 2"):
        high_pass(torch.zeros(1, 3, 1, 8))
