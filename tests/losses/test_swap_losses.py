"""identity, change and adversarial: values by hand, and that every argument matters."""

from __future__ import annotations

import math

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.losses.adversarial import AdversarialLoss
from smoothswap.losses.change import ChangeLoss
from smoothswap.losses.identity import IdentityLoss

IDENTITY = IdentityLoss(IdentityLoss.Config())
CHANGE = ChangeLoss(ChangeLoss.Config())
ADVERSARIAL = AdversarialLoss(AdversarialLoss.Config())


def test_identity_by_hand() -> None:
    # Cosines 1, 0 and −1, whatever the lengths.
    swap = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    source = torch.tensor([[5.0, 0.0], [1.0, 0.0], [-4.0, -4.0]])
    assert IDENTITY(swap, source).item() == pytest.approx((0 + 1 + 2) / 3)


def test_change_by_hand() -> None:
    swapped, target = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    swapped[0, 1, 2, 3] = 2.0
    target[1, 0, 0, 0] = 1.0
    assert CHANGE(swapped, target).item() == pytest.approx((4 + 1) / (2 * 48))


def test_change_reads_both_pictures() -> None:
    swapped, target = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    CHANGE(swapped, target).backward()
    torch.testing.assert_close(swapped.grad, 2 * (swapped - target).detach() / swapped.numel())
    assert torch.equal(swapped.grad, -target.grad)


def test_identity_gradient_reaches_the_swap() -> None:
    swap, source = torch.randn(2, 8, requires_grad=True), torch.randn(2, 8)
    IDENTITY(swap, source).backward()
    assert (swap.grad.abs().sum(1) > 0).all()


def test_adversarial_by_hand() -> None:
    real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[-1.0], [3.0]])
    soft = lambda v: math.log1p(math.exp(v))  # noqa: E731
    assert ADVERSARIAL.generator(fake).item() == pytest.approx((soft(1) + soft(-3)) / 2)
    expected = (soft(-1) + soft(3)) / 2 + (soft(-2) + soft(0)) / 2
    assert ADVERSARIAL.discriminator(real, fake).item() == pytest.approx(expected)
    assert ADVERSARIAL(real, fake) == ADVERSARIAL.discriminator(real, fake)


def test_adversarial_of_an_ignorant_discriminator() -> None:
    assert ADVERSARIAL(torch.zeros(4, 1), torch.zeros(4, 1)).item() == pytest.approx(2 * math.log(2))


def test_adversarial_does_not_saturate() -> None:
    # A generator that is seen through with certainty must still get a gradient: slope −1, not 0.
    fake = torch.full((1, 1), -50.0, requires_grad=True)
    ADVERSARIAL.generator(fake).backward()
    assert fake.grad.item() == pytest.approx(-1.0)


def test_players_want_opposite_things() -> None:
    fake = torch.zeros(3, 1, requires_grad=True)
    (generators,) = torch.autograd.grad(ADVERSARIAL.generator(fake), fake)
    (discriminators,) = torch.autograd.grad(ADVERSARIAL.discriminator(torch.zeros(3, 1), fake), fake)
    assert (generators < 0).all()
    assert (discriminators > 0).all()


@pytest.mark.parametrize("loss", [IDENTITY, ADVERSARIAL])
def test_gradient(loss: torch.nn.Module) -> None:
    a, b = (torch.randn(3, 1 if loss is ADVERSARIAL else 4, dtype=torch.float64, requires_grad=True) for _ in "ab")
    assert torch.autograd.gradcheck(loss, (a, b))


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"z_swap has shape \[2, 8\], z_source has shape \[1, 8\]"):
        IDENTITY(torch.randn(2, 8), torch.randn(1, 8))
    with pytest.raises(ArgumentError, match=r"swapped has shape \[2, 3, 4, 4\], target has shape \[2, 3, 8, 8\]"):
        CHANGE(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 8, 8))
    with pytest.raises(ArgumentError, match=r"swapped has dtype torch.uint8"):
        CHANGE(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ArgumentError, match=r"swapped has shape \[3, 4, 4\]"):
        CHANGE(torch.zeros(3, 4, 4), torch.zeros(3, 4, 4))
    with pytest.raises(ArgumentError, match=r"fake_logits has shape \[2, 3\], but \[B, 1\] is needed"):
        ADVERSARIAL.generator(torch.zeros(2, 3))
    with pytest.raises(ArgumentError, match=r"real_logits holds 1 values of 2 that are NaN or infinite"):
        ADVERSARIAL(torch.tensor([[torch.inf], [0.0]]), torch.zeros(2, 1))
