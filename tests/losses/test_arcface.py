"""arcface: the margin's formula on both sides of θ + m = π, and gradients that stay finite."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from smoothswap.core.errors import ArgumentError, UnknownNameError
from smoothswap.losses.arcface import ArcFaceLoss


def arcface(people: int = 4, dim: int = 3, **options: float) -> ArcFaceLoss:
    return ArcFaceLoss(ArcFaceLoss.Config(people=people, dim=dim, **options))


def at_angle(theta: float) -> torch.Tensor:
    return torch.tensor([[math.cos(theta), math.sin(theta)]], dtype=torch.float64)


def test_equals_the_formula() -> None:
    loss, z = arcface(5, 6), torch.randn(7, 6, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    cosines = F.normalize(z, dim=1) @ F.normalize(loss.weight.detach().double(), dim=1).T
    logits = 64 * cosines
    for i, y in enumerate(labels.tolist()):
        theta = math.acos(cosines[i, y])
        assert theta + 0.5 < math.pi, "this test is about the ordinary side"
        logits[i, y] = 64 * math.cos(theta + 0.5)
    expected = -logits.log_softmax(1)[torch.arange(7), labels].mean()
    torch.testing.assert_close(loss(z, labels), expected)


@pytest.mark.parametrize("theta", [0.3, 1.0, 2.0, math.pi - 0.51])
def test_margin_is_added_to_the_angle(theta: float) -> None:
    value = arcface(2, 2).with_margin(torch.tensor(math.cos(theta), dtype=torch.float64))
    assert value.item() == pytest.approx(math.cos(theta + 0.5), abs=1e-9)


@pytest.mark.parametrize("theta", [math.pi - 0.49, 3.0, math.pi])
def test_beyond_pi_it_is_continued_downwards(theta: float) -> None:
    value = arcface(2, 2).with_margin(torch.tensor(math.cos(theta), dtype=torch.float64))
    assert value.item() == pytest.approx(math.cos(theta) - 0.5 * math.sin(0.5), abs=1e-9)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_never_rises_with_the_angle(margin: float) -> None:
    cosines = torch.linspace(0, math.pi, 2001, dtype=torch.float64).cos()
    values = arcface(2, 2, margin=margin).with_margin(cosines)
    assert (values.diff() <= 1e-6).all()


def test_without_margin_it_is_scaled_softmax_of_cosines() -> None:
    loss, z = arcface(margin=0.0, scale=2.0), torch.randn(4, 3)
    labels = torch.arange(4)
    cosines = F.normalize(z, dim=1) @ F.normalize(loss.weight, dim=1).T
    torch.testing.assert_close(loss(z, labels), F.cross_entropy(2 * cosines, labels))


@pytest.mark.parametrize("theta", [0.0, 1e-4, math.pi, math.pi - 1e-4])
def test_gradient_is_finite_where_the_sine_vanishes(theta: float) -> None:
    loss = arcface(2, 2)
    with torch.no_grad():
        loss.weight.copy_(torch.eye(2))
    z = at_angle(theta).float().requires_grad_()
    loss(z, torch.tensor([0])).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert torch.isfinite(loss.weight.grad).all()


def test_an_opposite_embedding_is_pulled_towards_its_centre() -> None:
    loss = arcface(2, 2)
    with torch.no_grad():
        loss.weight.copy_(torch.eye(2))
    z = at_angle(math.pi - 0.2).requires_grad_()
    before = loss(z, torch.tensor([0]))
    before.backward()
    assert loss(z.detach() - 0.01 * F.normalize(z.grad, dim=1), torch.tensor([0])) < before


def test_weight_is_a_parameter_and_learns() -> None:
    loss = arcface(3, 2)
    assert [name for name, _ in loss.named_parameters()] == ["weight"]
    assert loss.weight.shape == (3, 2)
    loss(torch.randn(6, 2), torch.arange(6) % 3).backward()
    assert (loss.weight.grad.abs().sum(1) > 0).all()


def test_gradient() -> None:
    loss = arcface(3, 4, scale=4.0).double()
    z = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0, 1])
    assert torch.autograd.gradcheck(lambda v: loss(v, labels), (z,))


def test_autocast_does_not_round_the_cosines() -> None:
    loss, z, labels = arcface(50, 32), torch.randn(8, 32), torch.arange(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss(z, labels)
    assert torch.equal(rounded, loss(z, labels))


def test_errors() -> None:
    loss, z = arcface(4, 3), torch.randn(2, 3)
    with pytest.raises(ArgumentError, match=r"label 4 is outside of 0 … 3"):
        loss(z, torch.tensor([0, 4]))
    with pytest.raises(ArgumentError, match=r"label -1 is outside of 0 … 3"):
        loss(z, torch.tensor([-1, 2]))
    with pytest.raises(ArgumentError, match=r"embeddings has shape \[2, 5\], but \[N, 3\] is needed"):
        loss(torch.randn(2, 5), torch.tensor([0, 1]))
    with pytest.raises(ArgumentError, match=r"labels have shape \[3\]"):
        loss(z, torch.tensor([0, 1, 2]))
    with pytest.raises(UnknownNameError, match="person"):
        ArcFaceLoss.Config.make({"person": 4})
