"""The Triton kernels of supcon's log-sum-exp and gradient: several bands, blocks and tiles, against whole fp64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import can_run, supcon_loss, supcon_triton, triton_runtime, use

OPS = torch.ops.smoothswap
# Of a gradient, relative to its largest: similarities and sums are fp32, weights and vectors are rounded to the dtype.
ERROR = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}


@pytest.fixture
def triton():
    if reason := can_run("supcon_lse", "triton"):
        pytest.skip(reason)
    device = "cpu" if triton_runtime.interpreted() else "cuda"
    before = torch.get_default_device()
    torch.set_default_device(device)
    with use("triton"):
        yield device
    torch.set_default_device(before)


@pytest.fixture
def small(monkeypatch):
    """Bands and blocks of 64 rows, so that some vectors make several."""
    monkeypatch.setattr(supcon_triton, "_BAND", 64)


def vectors(n: int, D: int, dtype: torch.dtype = torch.float32, length: float = 1.0) -> Tensor:
    return (F.normalize(torch.randn(n, D), dim=1) * length * torch.rand(n, 1)).to(dtype)


def similarities(rows: Tensor, columns: Tensor, first: int, temperature: float) -> Tensor:
    """[n, m] in fp64, −∞ where a row is the column."""
    s = rows.double() @ columns.double().T / temperature
    return s.masked_fill(torch.arange(len(rows))[:, None] + first == torch.arange(len(columns)), -math.inf)


def gradient(g: Tensor, lse: Tensor, rows: Tensor, h: Tensor, lse_h: Tensor, columns: Tensor, first: int, t: float):
    """Drows [n, D] in fp64, with 0 where g or lse says so."""
    s = similarities(rows, columns, first, t)
    of_rows = torch.where((lse.isneginf() | (g == 0))[:, None], 0, (s - lse[:, None].double()).exp() * g[:, None])
    of_columns = torch.where(lse_h.isneginf() | (h == 0), 0, (s - lse_h.double()).exp() * h)
    return (of_rows + of_columns).double() @ columns.double() / t


def assert_near(mine: Tensor, exact: Tensor, error: float) -> None:
    assert torch.isfinite(mine).all()
    assert (mine.double() - exact).abs().max() <= error * exact.abs().max()


@pytest.mark.parametrize("dtype", ERROR, ids=str)
@pytest.mark.parametrize(("n", "D"), [(1, 3), (2, 1), (3, 65), (70, 19)])
def test_against_fp64(triton, small, dtype, n, D):
    if dtype == torch.float64 and not triton_runtime.interpreted():
        pytest.skip("fp64 is interpreted only")
    z, g = vectors(n, D, dtype), torch.randn(n)
    g = g.to(torch.float64 if dtype == torch.float64 else torch.float32) / n
    lse = OPS.supcon_lse(z, 0.07)
    assert lse.dtype == g.dtype
    torch.testing.assert_close(
        lse.double(), similarities(z, z, 0, 0.07).logsumexp(1), rtol=0, atol=1e-11 if dtype == torch.float64 else 1e-5
    )
    dz = OPS.supcon_lse_grad(g, z, lse, 0.07)
    assert dz.dtype == g.dtype
    assert dz.shape == z.shape
    assert_near(dz, gradient(g, lse, z, g, lse, z, 0, 0.07), ERROR[dtype])


@pytest.mark.parametrize("first", [0, 60, -40, 2**40])
def test_rows_against_columns(triton, small, first):
    rows, columns = vectors(70, 20), vectors(100, 20)
    lse = OPS.supcon_rows_lse(rows, columns, first, 0.1)
    torch.testing.assert_close(lse.double(), similarities(rows, columns, first, 0.1).logsumexp(1), rtol=0, atol=1e-5)
    g, h, lse_h = torch.randn(70), torch.randn(100), 10 + torch.rand(100)
    g[3], h[5], lse_h[7], lse[64] = 0, 0, -math.inf, -math.inf
    mine = OPS.supcon_rows_grad(g, lse, rows, h, lse_h, columns, first, 0.1)
    assert_near(mine, gradient(g, lse, rows, h, lse_h, columns, first, 0.1), 1e-5)


def test_rows_of_all_are_the_symmetric_op(triton, small):
    z, g = vectors(90, 7), torch.randn(90)
    lse = OPS.supcon_lse(z, 0.1)
    torch.testing.assert_close(OPS.supcon_rows_lse(z, z, 0, 0.1), lse)
    dz = OPS.supcon_lse_grad(g, z, lse, 0.1)
    torch.testing.assert_close(OPS.supcon_rows_grad(g, lse, z, g, lse, z, 0, 0.1), dz, rtol=1e-4, atol=1e-4)


def test_empty_sets(triton):
    none, some = torch.empty(0, 4), vectors(3, 4)
    assert OPS.supcon_lse(none, 0.1).shape == (0,)
    assert OPS.supcon_lse(some[:1], 0.1).tolist() == [-math.inf]
    assert OPS.supcon_rows_lse(some, none, 0, 0.1).tolist() == [-math.inf] * 3
    assert OPS.supcon_rows_lse(some[:2], some[:1], 0, 0.1).isneginf().tolist() == [True, False]
    assert OPS.supcon_rows_lse(none, some, 0, 0.1).shape == (0,)
    nothing, three = torch.empty(0), torch.ones(3)
    assert OPS.supcon_lse_grad(nothing, none, nothing, 0.1).shape == (0, 4)
    assert not OPS.supcon_rows_grad(three, three, some, nothing, nothing, none, 0, 0.1).any()
    assert OPS.supcon_rows_grad(nothing, nothing, none, three, three, some, 0, 0.1).shape == (0, 4)
    assert torch.equal(OPS.supcon_lse(torch.empty(3, 0), 0.1), torch.full([3], math.log(2)))


def test_a_vector_alone_has_no_gradient(triton):
    one = vectors(1, 4)
    assert not OPS.supcon_lse_grad(torch.ones(1), one, OPS.supcon_lse(one, 0.1), 0.1).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_similarities_that_lie_far_apart(triton, small, dtype):
    """Thousands in exponents: a tile's rows and columns have no common scale then."""
    z = vectors(70, 6, dtype, length=30)
    exact = similarities(z, z, 0, 0.07).logsumexp(1)
    lse = OPS.supcon_lse(z, 0.07)
    assert exact.max() - exact.min() > 1000
    torch.testing.assert_close(lse.double(), exact, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(OPS.supcon_rows_lse(z, z, 0, 0.07).double(), exact, rtol=1e-6, atol=1e-5)
    g = torch.rand(70)
    # fp32 holds exponents of ten thousand to a thousandth.
    assert_near(OPS.supcon_lse_grad(g, z, lse, 0.07), gradient(g, lse, z, g, lse, z, 0, 0.07), 4e-3)


def test_fp16_keeps_the_least_gradients(triton):
    """A mean over many anchors has gradients of lse, and weights, that fp16 does not hold as they are."""
    z, g = vectors(70, 5, torch.float16), torch.rand(70)
    lse = OPS.supcon_lse(z, 1.0)
    dz = OPS.supcon_lse_grad(g, z, lse, 1.0)
    torch.testing.assert_close(OPS.supcon_lse_grad(g * 2**-40, z, lse, 1.0), dz * 2**-40, rtol=1e-6, atol=0)
    assert_near(dz, gradient(g, lse, z, g, lse, z, 0, 1.0), 2**-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_loss_and_its_gradient(triton, small, dtype):
    labels = torch.arange(70) % 9
    z = vectors(70, 24, dtype).requires_grad_()
    loss = supcon_loss(z, labels)
    (dz,) = torch.autograd.grad(loss, z)
    with use("reference"):
        exact = z.detach().double().requires_grad_()
        expected = supcon_loss(exact, labels)
        (of_exact,) = torch.autograd.grad(expected, exact)
    assert abs(loss.item() - expected.item()) <= 2e-6 * expected.item()
    # The two terms of the gradient cancel: its error is that of each, and of its rounding.
    assert dz.dtype == dtype
    assert_near(dz, of_exact, 2e-5 if dtype == torch.float32 else 8 * ERROR[dtype])


def test_second_derivatives(triton):
    if not triton_runtime.interpreted():
        pytest.skip("fp64 is interpreted only")
    z = vectors(7, 3, torch.float64).requires_grad_()
    labels = torch.tensor([0, 0, 1, 2, 1, 1, 0])
    assert gradcheck(lambda z: supcon_loss(z, labels, 0.5), z, fast_mode=True)
    assert gradgradcheck(lambda z: supcon_loss(z, labels, 0.5), z, fast_mode=True)


def test_any_strides_and_the_same_bits(triton, small):
    z, g = vectors(70, 20, torch.float16), torch.rand(140)
    lse = OPS.supcon_lse(z, 0.1)
    assert torch.equal(OPS.supcon_lse(z.T.contiguous().T, 0.1), lse)
    dz = OPS.supcon_lse_grad(g[::2].contiguous(), z, lse, 0.1)
    assert torch.equal(OPS.supcon_lse_grad(g[::2], z.T.contiguous().T, lse, 0.1), dz)


def test_reasons(monkeypatch):
    monkeypatch.setattr(supcon_triton, "device_objection", lambda *tensors: None)
    monkeypatch.setattr(supcon_triton, "interpreted", lambda: False)
    z, lse = torch.zeros(3, 2), torch.zeros(3)
    objection = supcon_triton._objection
    assert objection() is None
    assert objection(lse, z.half(), lse) is None
    assert "fp64" in objection(z.double())
    assert "fp32 without TF32" in objection(lse, z, lse)
    with use("triton"):
        assert objection(z) is None
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert objection(z) is None
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
