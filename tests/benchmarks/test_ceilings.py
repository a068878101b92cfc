"""What the device can do at best: copying memory and multiplying matrices."""

from __future__ import annotations

import pytest
import torch
from benchmarks.clock import Clock, Turns
from benchmarks.conftest import DTYPES, TINY, record
from pytest_benchmark.fixture import BenchmarkFixture


def _measure(benchmark: BenchmarkFixture, turns: Turns) -> float:
    rounds = turns.warm_up()
    benchmark.group = "ceilings"
    benchmark.pedantic(turns.round, rounds=rounds)
    return next(iter(turns.medians().values()))


def test_copy(benchmark: BenchmarkFixture, clock: Clock) -> None:
    count = (1 << 10) if TINY else (1 << 26 if clock.device.type == "cpu" else 1 << 29)
    x = torch.randn(count, device=clock.device)
    y = torch.empty_like(x)
    ms = _measure(benchmark, Turns(clock, {"copy": lambda: y.copy_(x)}))
    assert torch.equal(x, y)
    record({"ceiling": f"copy of {count >> 18} MiB, read + written", "median_ms": ms, "GB/s": 8e-6 * count / ms})


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul(dtype: str, benchmark: BenchmarkFixture, clock: Clock) -> None:
    if clock.device.type == "cpu" and dtype != "fp32":
        pytest.skip("a CPU without instructions for it takes seconds")
    side = 64 if TINY else (1024 if clock.device.type == "cpu" else 8192)
    a, b = (torch.randn(side, side, device=clock.device, dtype=DTYPES[dtype]) for _ in range(2))
    ms = _measure(benchmark, Turns(clock, {"matmul": lambda: a @ b}))
    torch.testing.assert_close((a @ b)[:1].double(), a[:1].double() @ b.double(), rtol=0.05, atol=1.0)
    record({"ceiling": f"{dtype} matmul {side}³", "median_ms": ms, "TFLOP/s": 2e-9 * side**3 / ms})
