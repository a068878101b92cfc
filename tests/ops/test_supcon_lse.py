"""supcon_lse, its gradient and their rectangular forms on every backend, against the dense equations in fp64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import supcon_loss, use

ops = torch.ops.smoothswap
# NumPy, which interprets Triton's kernels, warns of what is selected away later, and of NaN that is meant to show.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def vectors(n: int, dim: int, dtype: torch.dtype = torch.float64, length: float | None = None) -> Tensor:
    """Of unit length, or raw, about `length` long."""
    z = torch.randn(n, dim, dtype=torch.float64)
    z = F.normalize(z, dim=1) if length is None else z * (length / dim**0.5)
    return z.to(dtype)


def similarities(z: Tensor, temperature: float) -> Tensor:
    """s [N, N], −∞ on the diagonal."""
    return (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -math.inf)


def dense_lse(z: Tensor, temperature: float) -> Tensor:
    return torch.logsumexp(similarities(z, temperature), 1)


def dense_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    """The gradient by the whole matrix; g and lse [N], z [N, D]."""
    w = torch.exp(similarities(z, temperature) - lse[:, None]) * g[:, None]
    return (w + w.T) @ z / temperature


def error(y: Tensor, exact: Tensor) -> float:
    return float((y.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("temperature", [0.07, 0.01, 2.0])
def test_error_is_at_most_twice_that_of_the_dense_formula(on, temperature, dtype):
    if on.backend in ("triton", "cuda"):
        pytest.skip("its products are those of tensor cores; test_supcon_triton has their bounds")
    wide = torch.promote_types(dtype, torch.float32)
    for n, dim, length in ((61, 33, None), (130, 64, None), (97, 20, 3.0)):
        z = vectors(n, dim, dtype, length)
        g = torch.randn(n, dtype=wide)
        exact = dense_lse(z.cpu().double(), temperature)
        plain = dense_lse(z.cpu().to(wide), temperature)
        with on("supcon_lse"):
            lse = ops.supcon_lse(z, temperature)
        assert lse.dtype == wide
        # The exact values are in fp64 themselves, as sums in another order.
        rounding = torch.finfo(wide).eps * (8 if dtype == torch.float64 else 1)
        assert error(lse.cpu(), exact) <= 2 * error(plain, exact) + rounding
        with on("supcon_lse_grad"):
            dz = ops.supcon_lse_grad(g, z, lse, temperature)
        assert dz.dtype == wide
        expected = dense_grad(g.cpu().double(), z.cpu().double(), exact, temperature)
        plain = dense_grad(g.cpu(), z.cpu().to(wide), plain, temperature)
        assert error(dz.cpu(), expected) <= 2 * error(plain, expected) + 4 * rounding


def test_rows_against_columns_are_parts_of_the_whole(on):
    z, g = vectors(70, 19, torch.float32), torch.randn(70)
    with on("supcon_rows_lse"), on("supcon_rows_grad"), on("supcon_lse"), on("supcon_lse_grad"):
        lse = ops.supcon_lse(z, 0.1)
        dz = ops.supcon_lse_grad(g, z, lse, 0.1)
        for begin, end in ((0, 70), (0, 1), (13, 50), (69, 70)):
            rows = z[begin:end].clone()
            torch.testing.assert_close(ops.supcon_rows_lse(rows, z, begin, 0.1), lse[begin:end])
            mine = ops.supcon_rows_grad(g[begin:end], lse[begin:end], rows, g, lse, z, begin, 0.1)
            torch.testing.assert_close(mine, dz[begin:end], rtol=1e-4, atol=1e-5)
        # In parts, as a ring over processes has it: rows 20 … 39 against the columns of three processes
        parts = [ops.supcon_rows_lse(z[20:40], z[a:b], 20 - a, 0.1) for a, b in ((0, 20), (20, 40), (40, 70))]
        torch.testing.assert_close(torch.stack(parts).logsumexp(0), lse[20:40])
        added = sum(
            ops.supcon_rows_grad(g[20:40], lse[20:40], z[20:40], g[a:b], lse[a:b], z[a:b], 20 - a, 0.1)
            for a, b in ((0, 20), (20, 40), (40, 70))
        )
        torch.testing.assert_close(added, dz[20:40], rtol=1e-4, atol=1e-5)


def test_which_column_is_left_out(on):
    rows, columns = vectors(3, 4, torch.float32), vectors(4, 4, torch.float32)
    s = (rows @ columns.T).cpu() / 0.5
    with on("supcon_rows_lse"):
        for first in (-4, -2, 0, 1, 3, 4, 9):
            expected = s.clone()
            for i in range(3):
                if 0 <= first + i < 4:
                    expected[i, first + i] = -math.inf
            got = ops.supcon_rows_lse(rows, columns, first, 0.5)
            torch.testing.assert_close(got.cpu(), expected.logsumexp(1))
        assert ops.supcon_rows_lse(rows, columns[:0], 0, 0.5).isneginf().all()
        assert ops.supcon_rows_lse(rows[:1], columns[:1], 0, 0.5).isneginf().all()


def test_one_vector_has_no_others(on):
    z = vectors(1, 5, torch.float32)
    with on("supcon_lse"), on("supcon_lse_grad"):
        lse = ops.supcon_lse(z, 0.1)
        assert lse.isneginf().all()
        assert not ops.supcon_lse_grad(torch.ones(1), z, lse, 0.1).any()


def test_a_gradient_of_zero_gives_zero_even_where_its_lse_is_of_nothing(on):
    z, lse = vectors(5, 3, torch.float32), torch.full((5,), -math.inf)
    with on("supcon_lse_grad"), on("supcon_rows_grad"):
        assert not ops.supcon_lse_grad(torch.ones(5), z, lse, 0.1).any()
        assert not ops.supcon_lse_grad(torch.zeros(5), z, torch.zeros(5), 0.1).any()
        rows = ops.supcon_rows_grad(torch.ones(5), lse, z, torch.zeros(5), torch.zeros(5), z, 0, 0.1)
        assert not rows.any()


@pytest.mark.parametrize("temperature", [1e-6, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e3])
def test_any_length_and_temperature_is_finite(on, length, temperature):
    z = vectors(40, 6, torch.float32, length)
    labels = torch.arange(40) // 3
    z.requires_grad_()
    with on("supcon_lse"), on("supcon_lse_grad"):
        loss = supcon_loss(z, labels, temperature, "none")
        (dz,) = torch.autograd.grad(loss.sum(), z)
    assert loss.isfinite().all()
    assert dz.isfinite().all()
    s = similarities(z.detach().cpu().double(), temperature)
    same = (labels[:, None] == labels).cpu() & ~s.isneginf()
    mean = torch.stack([s[i][same[i]].mean() for i in range(39)])
    expected = s.logsumexp(1)[:39] - mean
    scale = s[s.isfinite()].abs().max() + 4
    assert (loss[:39].cpu().double() - expected).abs().max() <= 3e-6 * scale


def test_values_that_are_no_numbers_show(on):
    for value in (math.nan, math.inf):
        z = vectors(30, 4, torch.float32)
        z[3, 1] = value
        with on("supcon_lse"):
            for temperature in (0.07, 1e-3):
                assert not ops.supcon_lse(z, temperature)[3].isfinite()
                assert not supcon_loss(z, torch.arange(30) // 2, temperature).isfinite()


def test_derivatives(on):
    if on.slow:
        pytest.skip("interpreted: its values are tested above")
    z = vectors(9, 3).requires_grad_()
    g = torch.rand(9, dtype=torch.float64, requires_grad=True)
    with on("supcon_lse"), on("supcon_lse_grad"):
        for temperature in (0.5, 0.005):  # the latter is beyond the range of plain exponentials
            assert gradcheck(lambda z, t=temperature: ops.supcon_lse(z, t), z)
        assert gradgradcheck(lambda z: ops.supcon_lse(z, 0.5), z)
        lse = ops.supcon_lse(z, 0.5).detach().requires_grad_()
        assert gradcheck(lambda *x: ops.supcon_lse_grad(*x, 0.5), (g, z, lse))
        for labels in (torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 0]), torch.zeros(9, dtype=torch.long)):
            for reduction in ("mean", "none"):
                assert gradcheck(lambda z, l=labels, r=reduction: supcon_loss(z, l, 0.5, r), z)
                assert gradgradcheck(lambda z, l=labels, r=reduction: supcon_loss(z, l, 0.5, r), z)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_shape_labels_and_temperature(on, data):
    draw = data.draw
    n, dim = draw(st.integers(0, 20 if on.slow else 120)), draw(st.integers(1, 70))
    dtype = draw(st.sampled_from(DTYPES))
    temperature = draw(st.sampled_from([0.003, 0.07, 0.5, 30.0]))
    labels = torch.randint(-2, draw(st.integers(-1, 40)), (n,))
    # Half of the columns of something larger, as a slice of an embedding is
    strided = draw(st.booleans())
    z = torch.cat([vectors(n, dim, dtype), vectors(n, dim, dtype)], 1)[:, :dim] if strided else vectors(n, dim, dtype)
    z = z.detach().requires_grad_()
    with on("supcon_lse"), on("supcon_lse_grad"):
        loss = supcon_loss(z, labels, temperature, "none")
        (dz,) = torch.autograd.grad(loss.sum(), z)
    wide = z.detach().cpu().double().requires_grad_()
    with use("reference"):
        exact = supcon_loss(wide, labels.cpu(), temperature, "none")
        (expected,) = torch.autograd.grad(exact.sum(), wide)
    assert dz.dtype == dtype
    digits = 1e-11 if dtype == torch.float64 else 4e-6
    s = 1 / temperature + math.log(n + 1)
    assert n == 0 or (loss.cpu().double() - exact).abs().max() <= digits * s
    own = 0.0 if dtype == torch.float64 else torch.finfo(dtype).eps
    assert n == 0 or ((dz.cpu().double() - expected).abs() <= own * expected.abs() + digits * s * n / temperature).all()
