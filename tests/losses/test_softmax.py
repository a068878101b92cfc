"""softmax: a linear classifier on scaled embeddings."""

from __future__ import annotations

import math

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.losses.softmax import SoftmaxLoss


def softmax(people: int = 3, dim: int = 2, scale: float = 16.0) -> SoftmaxLoss:
    return SoftmaxLoss(SoftmaxLoss.Config(people=people, dim=dim, scale=scale))


def test_hand_computed() -> None:
    loss = softmax(2, 2, scale=3.0)
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        loss.bias.copy_(torch.tensor([0.5, 0.0]))
    # Logits 3·1 + 0.5 and 0, the second person is the true one.
    value = loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert value.item() == pytest.approx(math.log(1 + math.exp(3.5)), rel=1e-6)


def test_equals_a_linear_head() -> None:
    loss, z, labels = softmax(5, 4, scale=1.0), torch.randn(6, 4), torch.arange(6) % 5
    logits = z @ loss.weight.T + loss.bias
    expected = -(logits.exp() / logits.exp().sum(1, keepdim=True))[torch.arange(6), labels].log().mean()
    torch.testing.assert_close(loss(z, labels), expected)


def test_head_learns_unit_vectors() -> None:
    loss = softmax(3, 3)
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        value = loss(torch.eye(3), torch.arange(3))
        value.backward()
        optimiser.step()
    assert value.item() < 0.01


def test_gradient() -> None:
    loss = softmax(3, 4).double()
    z = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: loss(v, torch.arange(5) % 3), (z,))


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"label 3 is outside of 0 … 2"):
        softmax()(torch.randn(1, 2), torch.tensor([3]))
    with pytest.raises(ArgumentError, match=r"embeddings has shape \[0, 2\]"):
        softmax()(torch.randn(0, 2), torch.zeros(0, dtype=torch.long))
