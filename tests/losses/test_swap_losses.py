"""identity, change and adversarial: values by hand, and that every argument matters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.losses.adversarial import AdversarialLoss
from smoothswap.losses.change import ChangeLoss
from smoothswap.losses.grid import GridLoss
from smoothswap.losses.identity import IdentityLoss
from smoothswap.losses.swap_batch import SwapBatch

IDENTITY = IdentityLoss(IdentityLoss.Config())
CHANGE = ChangeLoss(ChangeLoss.Config())
ADVERSARIAL = AdversarialLoss(AdversarialLoss.Config())


def batch(count: int = 2, **known: Any) -> SwapBatch:
    """Black pictures of 4 px, with what a test knows better."""
    black = torch.zeros(count, 3, 4, 4)
    return SwapBatch(
        **{"swapped": black, "target": black, "source": black, "self_pair": torch.zeros(count) > 0, **known}
    )


def identity(z_swapped: torch.Tensor, z_source: torch.Tensor) -> torch.Tensor:
    return IDENTITY(batch(len(z_swapped), z_swapped=(z_swapped,), z_source=(z_source,)))


def change(swapped: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return CHANGE(batch(len(swapped), swapped=swapped, target=target))


def test_identity_by_hand() -> None:
    # Cosines 1, 0 and −1, whatever the lengths.
    swap = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    source = torch.tensor([[5.0, 0.0], [1.0, 0.0], [-4.0, -4.0]])
    assert identity(swap, source).item() == pytest.approx((0 + 1 + 2) / 3)


@pytest.mark.parametrize(("enough", "value"), [(0.5, (0 + 0.5 + 1.5) / 3), (-0.25, (0 + 0 + 0.75) / 3)])
def test_identity_that_is_alike_enough_costs_nothing_and_pulls_no_more(enough: float, value: float) -> None:
    swap = torch.tensor([[2.0, 0.1], [0.0, 3.0], [1.0, 0.9]], requires_grad=True)  # cosines near 1, 0 and −1
    source = torch.tensor([[5.0, 0.0], [1.0, 0.0], [-4.0, -4.0]])
    loss = IdentityLoss(IdentityLoss.Config(enough=enough))(batch(3, z_swapped=(swap,), z_source=(source,)))
    assert loss.item() == pytest.approx(value, abs=0.01)
    loss.backward()
    assert swap.grad is not None
    assert not swap.grad[0].any()
    assert swap.grad[2].any()


def test_identity_is_the_mean_over_embedders_whatever_their_lengths() -> None:
    same, other = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    vectors = {"z_swapped": (same, other), "z_source": (same, -other)}
    assert IDENTITY(batch(1, **vectors)).item() == pytest.approx((0 + 2) / 2)


def test_change_by_hand() -> None:
    swapped, target = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    swapped[0, 1, 2, 3] = 2.0
    target[1, 0, 0, 0] = 1.0
    assert change(swapped, target).item() == pytest.approx((4 + 1) / (2 * 48))


def test_change_of_self_pairs_has_a_weight_of_its_own() -> None:
    swapped = torch.zeros(2, 3, 4, 4)
    swapped[0], swapped[1] = 1.0, 2.0
    loss = ChangeLoss(ChangeLoss.Config(self_weight=3.0))
    pairs = batch(swapped=swapped, self_pair=torch.tensor([True, False]))
    assert loss(pairs).item() == pytest.approx((3 * 1 + 4) / 2)
    assert CHANGE(pairs).item() == pytest.approx((1 + 4) / 2)


def test_change_reads_both_pictures() -> None:
    swapped, target = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    change(swapped, target).backward()
    torch.testing.assert_close(swapped.grad, 2 * (swapped - target).detach() / swapped.numel())
    assert torch.equal(swapped.grad, -target.grad)


def test_identity_gradient_reaches_the_swap() -> None:
    swap, source = torch.randn(2, 8, requires_grad=True), torch.randn(2, 8)
    identity(swap, source).backward()
    assert (swap.grad.abs().sum(1) > 0).all()


def test_adversarial_by_hand() -> None:
    real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[-1.0], [3.0]])
    soft = lambda v: math.log1p(math.exp(v))  # noqa: E731
    assert ADVERSARIAL.generator(fake).item() == pytest.approx((soft(1) + soft(-3)) / 2)
    expected = (soft(-1) + soft(3)) / 2 + (soft(-2) + soft(0)) / 2
    assert ADVERSARIAL.discriminator(real, fake).item() == pytest.approx(expected)
    assert ADVERSARIAL(batch(logits=fake)) == ADVERSARIAL.generator(fake)


def test_adversarial_of_an_ignorant_discriminator() -> None:
    zeros = torch.zeros(4, 1)
    assert ADVERSARIAL.discriminator(zeros, zeros).item() == pytest.approx(2 * math.log(2))


def test_adversarial_does_not_saturate() -> None:
    # A generator that is seen through with certainty must still get a gradient: a derivative of −1, not 0.
    fake = torch.full((1, 1), -50.0, requires_grad=True)
    ADVERSARIAL.generator(fake).backward()
    assert fake.grad.item() == pytest.approx(-1.0)


def test_generator_and_discriminator_want_opposite_things() -> None:
    fake = torch.zeros(3, 1, requires_grad=True)
    (generators,) = torch.autograd.grad(ADVERSARIAL.generator(fake), fake)
    (discriminators,) = torch.autograd.grad(ADVERSARIAL.discriminator(torch.zeros(3, 1), fake), fake)
    assert (generators < 0).all()
    assert (discriminators > 0).all()


@pytest.mark.parametrize(("loss", "width"), [(identity, 4), (ADVERSARIAL.discriminator, 1)])
def test_gradient(loss: Any, width: int) -> None:
    a, b = (torch.randn(3, width, dtype=torch.float64, requires_grad=True) for _ in "ab")
    assert torch.autograd.gradcheck(loss, (a, b))


def test_some_pictures_of_a_batch() -> None:
    z, logits = torch.arange(6.0).view(3, 2), torch.arange(3.0).view(3, 1)
    whole = batch(3, z_swapped=(z, z + 10), z_source=(z, z), logits=logits, truth=torch.rand(3, 3, 4, 4))
    some = whole.select(torch.tensor([True, False, True]))
    assert len(some) == 2
    assert torch.equal(some.z_swapped[1], z[[0, 2]] + 10)
    assert torch.equal(some.logits, logits[[0, 2]])
    assert torch.equal(some.truth, whole.truth[[0, 2]])
    assert some.face is None
    assert torch.equal(whole.select(slice(1, 2)).z_source[0], z[1:2])


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"z_swap has shape \[2, 8\], z_source has shape \[1, 8\]"):
        identity(torch.randn(2, 8), torch.randn(1, 8))
    with pytest.raises(ArgumentError, match=r"swapped has shape \[2, 3, 4, 4\], target has shape \[2, 3, 8, 8\]"):
        change(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 8, 8))
    with pytest.raises(ArgumentError, match=r"swapped has dtype torch.uint8"):
        change(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ArgumentError, match=r"swapped has shape \[3, 4, 4\]"):
        change(torch.zeros(3, 4, 4), torch.zeros(3, 4, 4))
    with pytest.raises(ArgumentError, match=r"fake_logits has shape \[2, 3\], but \[B, 1\] is needed"):
        ADVERSARIAL.generator(torch.zeros(2, 3))
    with pytest.raises(ArgumentError, match=r"real_logits holds 1 values of 2 that are NaN or infinite"):
        ADVERSARIAL.discriminator(torch.tensor([[torch.inf], [0.0]]), torch.zeros(2, 1))
    with pytest.raises(ArgumentError, match="the batch has no logits"):
        ADVERSARIAL(batch())
    with pytest.raises(ArgumentError, match="the batch has no identity vectors"):
        IDENTITY(batch())


def patterned(kind: str, size: int = 66) -> torch.Tensor:
    """Pictures of what a swap changed: smooth, noise, seams every four pixels, dots in every patch of four."""
    line = torch.arange(size)
    if kind == "smooth":
        change = torch.sin(line / 5)[:, None] * torch.cos(line / 7)
    elif kind == "noise":
        change = torch.randn(size, size)
    elif kind == "seams":
        change = (line[:, None] // 4 + line // 4) % 2 * 1.0
    else:
        change = ((line[:, None] % 4 == 1) & (line % 4 == 2)) * 1.0
    return (0.2 * change).expand(2, 3, size, size)


@pytest.mark.parametrize("kind", ["seams", "dots"])
def test_grid_sees_patches_and_little_else(kind: str) -> None:
    loss, target = GridLoss(GridLoss.Config()), torch.rand(2, 3, 66, 66) - 0.5
    grid = loss(batch(swapped=target + patterned(kind), target=target))
    for other in ("smooth", "noise"):
        assert grid > 4 * loss(batch(swapped=target + patterned(other), target=target))
    assert grid > 4 * GridLoss(GridLoss.Config(patch=3))(batch(swapped=target + patterned(kind), target=target))
    assert loss(batch(swapped=target, target=target)) == 0


def test_grid_by_hand() -> None:
    # Along a row the neighbours differ by 1 at every fourth place; down a column not at all.
    swapped = (torch.arange(9) // 4 % 2 * 1.0).expand(1, 3, 9, 9).clone().requires_grad_()
    loss = GridLoss(GridLoss.Config())(batch(1, swapped=swapped, target=torch.zeros(1, 3, 9, 9)))
    assert loss.item() == pytest.approx(0.5 * (0.75 + 3 * 0.25) / 4)
    loss.backward()
    assert swapped.grad is not None
    assert swapped.grad.any()


def test_grid_needs_more_than_a_patch() -> None:
    with pytest.raises(ArgumentError, match="no grid of 4 pixels"):
        GridLoss(GridLoss.Config())(batch())
