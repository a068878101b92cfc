"""Gradient consistency: 1 where the embedder is linear up to its norm, lower where it ripples."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError
from smoothswap.core.interfaces import FaceInput
from smoothswap.evaluation import gradient_consistency


class Rippling(nn.Module):
    """Pixels through a fixed random matrix, with ripples of a height that turn the gradient every few grey levels."""

    dim = 8
    expects = FaceInput("ffhq", size=8)

    def __init__(self, height: float) -> None:
        super().__init__()
        self.height = height
        random = torch.Generator().manual_seed(0)
        self.register_buffer("matrix", torch.randn(3 * 64, self.dim, generator=random))

    def forward(self, faces: Tensor) -> Tensor:
        pixels = faces.flatten(1)
        seen = pixels + self.height * torch.sin(300 * pixels)
        return nn.functional.normalize(seen @ cast(Tensor, self.matrix), dim=1)


def pairs() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.rand(5, 3, 8, 8, generator=random) * 2 - 1, torch.randn(5, 8, generator=random)


def test_ripples_cost_consistency() -> None:
    images, wanted = pairs()
    smooth, rippling = (gradient_consistency(Rippling(height), images, wanted, stride=0.01) for height in (0.0, 0.05))
    assert smooth.shape == (5,)
    assert float(smooth.median()) > 0.95
    assert float(rippling.median()) < 0.5


def test_small_steps_are_consistent_whatever_the_embedder() -> None:
    images, wanted = pairs()
    assert float(gradient_consistency(Rippling(0.05), images, wanted, stride=1e-6).min()) > 0.95


def test_pictures_and_weights_are_left_alone() -> None:
    images, wanted = pairs()
    before = images.clone()
    with torch.no_grad():
        gradient_consistency(Rippling(0.05), images, wanted)
    assert torch.equal(images, before)
    assert images.grad is None


def test_what_does_not_go_together_is_refused() -> None:
    images, wanted = pairs()
    with pytest.raises(ArgumentError, match=r"one identity each(?s:.*)\[5, 3, 8, 8\]"):
        gradient_consistency(Rippling(0.0), images, wanted[:4])
    with pytest.raises(ArgumentError, match="two steps"):
        gradient_consistency(Rippling(0.0), images, wanted, steps=(0.5,))
    with pytest.raises(ArgumentError, match="positive stride"):
        gradient_consistency(Rippling(0.0), images, wanted, stride=0.0)
