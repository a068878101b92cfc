"""The C++ kernels of supcon_loss: edges of blocks and panels, threads, instruction sets, memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops import report, supcon_loss, use
from smoothswap.ops.native import missing

ops = torch.ops.smoothswap


@pytest.fixture(autouse=True)
def _built():
    if reason := missing():
        pytest.skip(reason)
    with use("cpu"):
        yield


def both(z: Tensor, g: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    lse = ops.supcon_lse(z, temperature)
    return lse, ops.supcon_lse_grad(g, z, lse, temperature)


# Blocks of 48, 96 and 192 vectors, panels of 4 to 32, packed 256 values deep: below, at and beyond their ends
@pytest.mark.parametrize("temperature", [0.07, 0.004])
@pytest.mark.parametrize("size", [(2, 1), (47, 31), (48, 32), (49, 33), (97, 257), (770, 5), (1537, 3)], ids=str)
def test_edges_of_blocks(size, temperature):
    z, g = F.normalize(torch.randn(size, dtype=torch.float64), dim=1), torch.randn(size[0], dtype=torch.float64)
    with use("reference"):
        exact = both(z, g, temperature)
    for dtype, digits in ((torch.float64, 1e-11), (torch.float32, 1e-6 / temperature)):
        for mine, expected in zip(both(z.to(dtype), g.to(dtype), temperature), exact, strict=True):
            assert (mine.double() - expected).norm() <= digits * expected.norm()


@pytest.mark.parametrize("n", [150, 900, 1600])
def test_threads_do_not_change_a_bit(n):
    z, g, labels = F.normalize(torch.randn(n, 40), dim=1), torch.randn(n), torch.arange(n) % 60

    def everything() -> list[Tensor]:
        results = [*both(z, g, 0.07), *both(z, g, 0.003)]
        lse = results[0]
        results.append(ops.supcon_rows_lse(z[3:], z, 3, 0.07))
        results.append(ops.supcon_rows_grad(g[3:], lse[3:], z[3:], g, lse, z, 3, 0.07))
        leaf = z.clone().requires_grad_()
        return [*results, *torch.autograd.grad(supcon_loss(leaf, labels), leaf)]

    assert torch.get_num_threads() == 1
    one = everything()
    try:
        for threads in (2, 5):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(one, everything(), strict=True))
    finally:
        torch.set_num_threads(1)


def test_gradients_however_large_or_small_keep_their_digits():
    z, g = F.normalize(torch.randn(60, 8), dim=1), torch.rand(60) + 0.5
    lse = ops.supcon_lse(z, 0.1)
    expected = ops.supcon_lse_grad(g, z, lse, 0.1)
    for exponent in (-110, -60, 60, 110):
        scaled = ops.supcon_lse_grad(g * 2.0**exponent, z, lse, 0.1)
        torch.testing.assert_close(scaled * 2.0**-exponent, expected, rtol=1e-5, atol=1e-7)


def test_a_pair_left_out_may_be_of_any_size():
    """s_ii of a long vector is far beyond its lse; it must not come back as 0 · ∞."""
    z = torch.tensor([[1e4, 0.0], [0.0, 1.0], [0.0, 1.0]])
    lse, dz = both(z, torch.ones(3), 0.01)
    torch.testing.assert_close(lse, torch.tensor([0.6931472, 100.0, 100.0]))
    assert dz.isfinite().all()
    with use("reference"):
        torch.testing.assert_close(dz, ops.supcon_lse_grad(torch.ones(3), z, lse, 0.01))


def test_they_serve_by_themselves():
    rows = {row.op: row.backend for row in report() if row.device == "cpu"}
    served = ("lse", "lse_grad", "rows_lse", "rows_grad")
    assert {rows[f"supcon_{name}"] for name in served} == {"cpu"}


def test_other_dtypes_of_lse_are_left_to_the_reference():
    z, g = torch.randn(4, 3), torch.randn(4)
    with use("auto"):
        lse = ops.supcon_lse(z, 0.5)
        dz = ops.supcon_lse_grad(g.double(), z, lse.double(), 0.5)
    assert dz.dtype == torch.float64
    torch.testing.assert_close(dz.float(), ops.supcon_lse_grad(g, z, lse, 0.5))


CHILD = """
import torch, torch.nn.functional as F
from smoothswap.ops import supcon_loss
from smoothswap.ops.native import missing
assert missing() is None
assert torch.ops.smoothswap_native.isa() == {isa!r}
torch.manual_seed(5)
for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    for n, dim, temperature in ((131, 45, 0.07), (100, 300, 0.004), (50, 1, 1.0)):
        z = F.normalize(torch.randn(n, dim, dtype=torch.float64), dim=1).to(dtype).requires_grad_()
        labels, exact = torch.arange(n) % 9, z.detach().double().requires_grad_()
        loss, expected = supcon_loss(z, labels, temperature), supcon_loss(exact, labels, temperature)
        s, (i, j) = ((exact @ exact.T) / temperature).detach().fill_diagonal_(-torch.inf), (labels[:, None], labels)
        same = (i == j).fill_diagonal_(False)
        dense = (s.logsumexp(1) - s.masked_fill(~same, 0).sum(1) / same.sum(1)).mean()
        assert abs(expected - dense) <= 1e-12 * dense, (expected, dense)
        assert abs(loss - dense) <= 2e-6 * (dense + 1 / temperature)
        mine, wide = torch.autograd.grad(loss, z)[0].double(), torch.autograd.grad(expected, exact)[0]
        rounding = max(torch.finfo(dtype).eps, 3e-7 / temperature) if dtype != torch.float64 else 1e-12 / temperature
        assert (mine - wide).norm() <= rounding * wide.norm(), (dtype, n, (mine - wide).norm() / wide.norm())
"""


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set(isa):
    best = ["baseline", "avx2", "avx512"].index(torch.ops.smoothswap_native.isa())
    if ["baseline", "avx2", "avx512"].index(isa) > best:
        pytest.skip(f"this processor has no {isa}")
    run = subprocess.run(
        [sys.executable, "-c", CHILD.format(isa=isa)],
        env={**os.environ, "SMOOTHSWAP_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


PEAK = """
import torch
from smoothswap.ops import supcon_loss
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
supcon_loss(torch.randn(64, 4, requires_grad=True), torch.arange(64) // 4).backward()
N, D = 4096, 64
z = torch.nn.functional.normalize(torch.randn(N, D), dim=1).requires_grad_()
labels, before = torch.arange(N) // 4, peak()
supcon_loss(z, labels).backward()
above, matrix, vectors = peak() - before, 4 * N * N, 4 * N * D
assert above < matrix / 4 and above < 8 * vectors + 8e6, (above, matrix, vectors)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its memory from /proc")
def test_memory_is_that_of_the_vectors_not_of_the_matrix():
    run = subprocess.run(
        [sys.executable, "-c", PEAK], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
