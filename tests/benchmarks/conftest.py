"""`contest`: several ways to one result on the same tensors, checked against each other and timed in turns.

Environment, set by bench.py and gpu.py: BENCH_ROWS, a file that gets one JSON line for each contest as soon as it is
decided; BENCH_TINY=1, sizes and rounds that only try the code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from benchmarks.clock import Clock, Turns
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from smoothswap.ops import use

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PASSES = ("forward", "forward+backward")
# ‖a − b‖ / ‖b‖ that two correct ways may differ by: rounding, TF32 in cuDNN's fp32, and in gradients the pixels whose
# sign the rounding before a leaky ReLU turns.
TOLERANCE = {
    "fp32": {"cpu": 1e-3, "cuda": 3e-2},
    "bf16": {"cpu": 0.1, "cuda": 0.1},
    "fp16": {"cpu": 0.05, "cuda": 0.05},
}
TINY = bool(os.environ.get("BENCH_TINY"))


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU where one is visible."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="session")
def clock(device: torch.device) -> Clock:
    """With as many threads as the process was given: the test suite's one thread is not what users run."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    return Clock(device, TINY)


@dataclass(frozen=True)
class Row:
    """What is measured: an op, a case with its shape, dtype, layout, and forward or forward+backward."""

    op: str
    case: str
    dtype: str = "fp32"
    layout: str = "nchw"
    passes: str = "forward"

    def compiles(self) -> bool:
        """Whether torch.compile takes part: it does in one dtype and layout, since each takes seconds to compile."""
        return self.layout == "nchw" and self.dtype == "fp32" and not TINY


@pytest.fixture
def contest(benchmark: BenchmarkFixture, clock: Clock) -> Callable[..., None]:
    """`contest(row, inputs, ways, moved)`: checks that all ways agree, then times them in turns.

    row: a Row. inputs: tensors that every way takes; in forward+backward those that require grad get one. ways: name →
    function of the inputs; "ours" is one of them; one that is called "compiled" is compiled here. moved: the bytes
    that must be read and written; copying that many is the contestant "floor". bounds: calls that do less than the
    op, timed too but not compared. repeat: calls in one sample. asked: name → the backend asked for while that way
    runs, backward pass included. together: gradients are compared as one vector; single ones of a model may be nothing
    but rounding, like that of a bias before a softmax.
    """

    def run(
        row: Row,
        inputs: Sequence[Tensor],
        ways: Mapping[str, Callable[..., Tensor]],
        moved: int,
        bounds: Mapping[str, Callable[..., Tensor]] = MappingProxyType({}),
        repeat: int = 1,
        asked: Mapping[str, str] = MappingProxyType({}),
        together: bool = False,
    ) -> None:
        ways = dict(ways)
        failed = {}
        torch._dynamo.reset()
        if "compiled" in ways:
            ways["compiled"] = torch.compile(ways["compiled"], dynamic=False)
            try:
                _call(row, ways["compiled"], inputs, None)()
            except Exception as error:  # a machine may lack the compiler for it; the others still run
                failed["compiled"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                del ways["compiled"]
        with torch.no_grad():
            g = torch.randn_like(ways["ours"](*inputs))
        calls = {name: _on(asked.get(name), _call(row, way, inputs, g)) for name, way in ways.items()}
        differences = _agree(row, calls, TOLERANCE[row.dtype][clock.device.type], together)
        calls |= {name: _call(row, way, inputs, g) for name, way in bounds.items()}
        source = torch.ones(max(moved // 8, 1), device=clock.device)
        target = torch.empty_like(source)
        calls["floor"] = lambda: target.copy_(source)
        turns = Turns(clock, calls, repeat)
        rounds = turns.warm_up()
        benchmark.group = row.op
        benchmark.pedantic(turns.round, rounds=rounds)
        record(
            row.__dict__
            | {"shapes": [list(t.shape) for t in inputs], "moved_bytes": moved, "median_ms": turns.medians()}
            | {"samples_ms": {name: [round(v, 5) for v in values] for name, values in turns.samples.items()}}
            | {"difference_from_ours": differences, "failed": failed}
        )

    return run


def record(row: Mapping[str, Any]) -> None:
    """Appends a row to BENCH_ROWS; a run that is stopped keeps what it has."""
    if path := os.environ.get("BENCH_ROWS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _call(
    row: Row, way: Callable[..., Tensor], inputs: Sequence[Tensor], g: Tensor | None
) -> Callable[[], list[Tensor]]:
    """The way as a call without arguments that gives the result, or result and gradients."""
    wanted = [t for t in inputs if t.requires_grad]

    def forward() -> list[Tensor]:
        with torch.no_grad():
            return [way(*inputs)]

    def both() -> list[Tensor]:
        y = way(*inputs)
        return [y, *torch.autograd.grad(y, wanted, torch.ones_like(y) if g is None else g, allow_unused=True)]

    return forward if row.passes == "forward" else both


def _on(backend: str | None, call: Callable[[], list[Tensor]]) -> Callable[[], list[Tensor]]:
    """The call while a backend is asked for; None: as it is."""
    if backend is None:
        return call

    def run() -> list[Tensor]:
        with use(backend):
            return call()

    return run


def _agree(
    row: Row, calls: Mapping[str, Callable[[], list[Tensor]]], tolerance: float, together: bool
) -> dict[str, float]:
    """Largest relative difference of each way's results from ours; fails where that is no rounding."""

    def results(name: str) -> list[Tensor]:
        first, *others = [t.detach().float() for t in calls[name]()]
        return [first, torch.cat([t.flatten() for t in others])] if together and others else [first, *others]

    ours, differences = results("ours"), {}
    for name in (name for name in calls if name != "ours"):
        errors = [_difference(a, b) for a, b in zip(results(name), ours, strict=True)]
        assert all(error <= tolerance for error in errors), f"{row}: {name} differs from ours by {errors}"
        differences[name] = max(errors)
    return differences


def _difference(a: Tensor, b: Tensor) -> float:
    """‖a − b‖ / ‖b‖."""
    return float((a - b).norm() / b.norm())


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Leaves the host's name out of pytest-benchmark's own files."""
    machine_info.pop("node", None)
