from __future__ import annotations

import math
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ops import naive
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import supcon_loss, supcon_lse, use

LABELS = torch.tensor([0, 0, 7, 1, 1, 1, -3, 0])  # two anchors alone


def unit(n: int, dim: int = 4, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return F.normalize(torch.randn(n, dim, dtype=dtype), dim=1)


def test_three_vectors_by_hand():
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([5, 5, 9])
    each = math.log((math.e + 1) / math.e)  # τ = 1: the positive has similarity 1, the negative 0
    torch.testing.assert_close(supcon_loss(z, labels, 1.0, "none").tolist(), [each, each, 0.0])
    assert float(supcon_loss(z, labels, 1.0)) == pytest.approx(each)  # over the two anchors with a positive
    assert float(supcon_loss(z, labels, 1.0, "sum")) == pytest.approx(2 * each)


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(-2, 3), min_size=1, max_size=9), temperature=st.sampled_from([0.07, 0.5, 2.0]))
def test_equals_the_equation(labels, temperature):
    z = unit(len(labels))
    expected = torch.tensor(naive.supcon(z, torch.tensor(labels), temperature), dtype=torch.float64)
    torch.testing.assert_close(supcon_loss(z, torch.tensor(labels), temperature, "none"), expected)


@pytest.mark.parametrize("tile", [1, 17, 1 << 21])
def test_first_and_second_derivative_over_tiles(tile):
    z = unit(len(LABELS), 3).requires_grad_()
    with use("reference"), mock.patch.multiple(supcon_lse, _TILE=tile):
        for reduction in ("mean", "none"):
            assert gradcheck(lambda z, r=reduction: supcon_loss(z, LABELS, 0.5, r), z)
            assert gradgradcheck(lambda z, r=reduction: supcon_loss(z, LABELS, 0.5, r), z)


def test_tiles_do_not_change_the_value():
    z = unit(50)
    labels = torch.arange(50) % 7
    whole = supcon_loss(z, labels, reduction="none")
    with use("reference"), mock.patch.multiple(supcon_lse, _TILE=130):
        torch.testing.assert_close(supcon_loss(z, labels, reduction="none"), whole)


def test_the_third_derivative_is_refused_not_zero():
    z = unit(4).requires_grad_()
    (first,) = torch.autograd.grad(supcon_loss(z, torch.tensor([0, 0, 1, 1])), z, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), z, create_graph=True)
    with pytest.raises(NotImplementedError, match="third"):
        torch.autograd.grad(second.square().sum(), z)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_no_positive_anywhere_is_zero_with_zero_gradient(n):
    z = unit(n).requires_grad_()
    loss = supcon_loss(z, torch.arange(n))
    (grad,) = torch.autograd.grad(loss, z)
    assert loss.item() == 0
    assert grad.abs().sum() == 0


def test_far_and_equal_vectors_are_finite():
    z = torch.tensor([[30.0, 0], [-30.0, 0], [30.0, 0], [30.0, 0]], requires_grad=True)
    loss = supcon_loss(z, torch.tensor([0, 0, 1, 1]), 0.01)
    (grad,) = torch.autograd.grad(loss, z)
    assert torch.isfinite(loss)
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_fp32(dtype):
    z = unit(24, 16).to(dtype).requires_grad_()
    labels = torch.arange(24) % 5
    loss = supcon_loss(z, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, supcon_loss(z.float(), labels))
    (grad,) = torch.autograd.grad(loss, z)
    assert grad.dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(supcon_loss(z.float(), labels), loss)


def test_any_integer_labels_and_strided_vectors():
    z = unit(8)
    expected = supcon_loss(z, LABELS)
    torch.testing.assert_close(supcon_loss(z, LABELS.to(torch.int32)), expected)
    torch.testing.assert_close(supcon_loss(z.T.contiguous().T, LABELS), expected)


def test_same_numbers_every_time():
    z = unit(40, dtype=torch.float32).requires_grad_()
    labels = torch.arange(40) % 6
    first, second = (torch.autograd.grad(supcon_loss(z, labels), z)[0] for _ in range(2))
    assert torch.equal(first, second)
