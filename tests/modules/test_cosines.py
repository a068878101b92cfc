"""Cosines: exact whatever the order of the sum, equal where float32 rounding parts them, and ties to the first."""

from __future__ import annotations

import math

import pytest
import torch

from smoothswap.modules.cosines import TIE, exact_factors, first_largest, sum_in_order, unit_vectors

DIMENSIONS = pytest.mark.parametrize("D", [1, 3, 7, 512])


def factors(count: int, D: int) -> torch.Tensor:
    return exact_factors(unit_vectors(torch.randn(count, D)))


@DIMENSIONS
def test_products_are_exact(D: int) -> None:
    a, b = factors(9, D), factors(5, D)
    # fsum rounds once, at the end: equal bits mean that no partial sum of the product was rounded.
    exact = [[math.fsum((x * y).tolist()) for y in b] for x in a]
    assert (a @ b.T).tolist() == exact


@DIMENSIONS
def test_neither_the_order_of_the_dimensions_nor_the_place_in_the_matrix_changes_a_bit(D: int) -> None:
    a, b = factors(33, D), factors(70, D)
    whole, order = a @ b.T, torch.randperm(D)
    assert torch.equal(a[:, order] @ b[:, order].T, whole)
    assert torch.equal(torch.cat([a[i : i + 1] @ b.T for i in range(33)]), whole)
    assert torch.equal((b.flip(0) @ a.T).flip(0).T, whole)
    try:
        torch.set_num_threads(2)
        assert torch.equal(a.repeat(20, 1) @ b.T, whole.repeat(20, 1))
    finally:
        torch.set_num_threads(1)


@DIMENSIONS
@pytest.mark.parametrize("scale", [3.0, 0.1, 7e5, 1e-6])
def test_one_direction_in_float32_gives_one_cosine(D: int, scale: float) -> None:
    z, others = torch.randn(50, D), factors(80, D)
    once, again = (exact_factors(unit_vectors(x)) @ others.T for x in (z, z * scale))
    assert float((once - again).abs().max()) <= TIE / 2
    # An embedder's own scaling to unit length rounds in float32 too.
    scaled = exact_factors(unit_vectors(torch.nn.functional.normalize(z, dim=1))) @ others.T
    assert float((once - scaled).abs().max()) <= TIE / 2


@DIMENSIONS
def test_exact_factors_stay_far_nearer_than_a_tie(D: int) -> None:
    a, b = unit_vectors(torch.randn(60, D)), unit_vectors(torch.randn(40, D))
    assert float((a @ b.T - exact_factors(a) @ exact_factors(b).T).abs().max()) < TIE / 4


def test_the_sum_adds_halves() -> None:
    # Halves give (1e16 − 1e16) + (1 + 1); from left to right the first 1 is lost.
    assert sum_in_order(torch.tensor([[1e16, 1.0, -1e16, 1.0]], dtype=torch.float64)).tolist() == [2.0]
    assert sum_in_order(torch.tensor([1.0, 2.0, 4.0])).item() == 7.0
    assert sum_in_order(torch.ones(2, 1)).tolist() == [1.0, 1.0]
    assert sum_in_order(torch.ones(2, 0)).tolist() == [0.0, 0.0]


def test_unit_vectors() -> None:
    found = unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e30, -4e30]]))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0, 0], [0.6, -0.8]], dtype=torch.float64))


def test_the_first_of_equal_cosines_is_taken() -> None:
    rows = [[0.5, 0.5 + TIE / 2, 0.5 + TIE], [0.5, 0.5 + 2 * TIE, 0.5 + 2 * TIE], [-1, -1, -1], [0.1, -0.2, 0.3]]
    assert first_largest(torch.tensor(rows, dtype=torch.float64)).tolist() == [0, 1, 0, 2]
