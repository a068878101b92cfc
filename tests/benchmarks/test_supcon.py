"""supcon_loss beside the paper's formula, its compiled form and pytorch-metric-learning: time, peak memory, error.

Each contestant lives in a process of its own, where its memory can be told from the others'; they still take turns.
"floor" is what the products of symmetric tiles take at the speed of a matrix product that runs in the same turns:
each pair once forward (N² D operations), once more and twice into the gradient backward (3 N² D).
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, replace
from typing import Any

import pytest
import torch
from benchmarks import facts, supcon_form
from benchmarks.conftest import PASSES, TINY, TOLERANCE, record
from benchmarks.supcon_child import Case, Child, Contestant
from pytest_benchmark.fixture import BenchmarkFixture

FORWARD, BOTH = PASSES
ALL = ("ours", "dense", "metric learning", "compiled")
TRIED = ("ours", "dense", "matmul")  # the others take seconds to import or to compile
# cases, contestants, rounds: the dense ones take seconds a call where N is large; rounds 0: one call
CASES: dict[str, Sequence[tuple[Case, Sequence[str], int]]] = {
    "cpu": [
        (Case(1024, 512, passes=FORWARD), ALL[:3], 7),
        (Case(1024, 512), ALL, 7),
        (Case(2048, 512), ALL[:3], 5),
        (Case(4096, 512, passes=FORWARD), ALL[:3], 3),
        (Case(4096, 512), ALL, 3),
        (Case(4096, 512, per_class=410), ALL[:2], 3),
        (Case(8192, 512, passes=FORWARD), ALL[:2], 3),
        (Case(8192, 512), ALL, 1),
        (Case(1024, 128), ALL[:3], 7),
        (Case(4096, 128), ALL[:3], 3),
        (Case(8192, 128), ALL[:2], 3),
        (Case(2048, 512, dtype="bf16"), ALL[:2], 5),
        (Case(32768, 512, passes=FORWARD, copies=8), ALL[:1], 0),
        (Case(32768, 128, copies=8), ALL[:1], 0),
        (Case(65536, 128, copies=16), ALL[:1], 0),
    ],
    "cuda": [
        (Case(8192, 512, dtype=dtype, passes=passes), ALL if passes == BOTH else ALL[:2], 15)
        for dtype in ("fp32", "bf16")
        for passes in PASSES
    ]
    + [
        (Case(32768, 128, dtype="bf16"), ALL[:2], 7),
        (Case(32768, 512, dtype="bf16", passes=FORWARD), ALL[:2], 7),
        (Case(32768, 512, dtype="bf16"), ALL[:2], 7),
        (Case(32768, 512), ALL[:2], 3),
        (Case(131072, 512, dtype="bf16", copies=8), ALL[:1], 5),
    ],
}


@pytest.fixture(scope="module")
def asked(device: torch.device) -> Iterator[Callable[..., dict[str, Any]]]:
    """Asks a contestant by its name; all processes start at once, and end with the module.

    Where only the code is tried, all are in this one: starting them would take longer than everything else.
    """
    if TINY:
        here = {name: Contestant(name, str(device)) for name in TRIED}
        yield lambda name, **question: here[name].answer(question)
        return
    children = {name: Child(name, device) for name in (TRIED if _warm() else (*ALL, "matmul"))}
    yield lambda name, **question: children[name].ask(**question)
    for child in children.values():
        child.close()


@pytest.fixture(scope="module")
def judge(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], str]:
    """The file with a case's exact loss and gradient, which both passes are judged by."""
    folder = tmp_path_factory.mktemp("exact")

    def of(case: Case) -> str:
        both = replace(case, passes=BOTH)
        path = folder / f"{'-'.join(str(value) for value in astuple(both))}.pt"
        if not path.exists():
            torch.save(supcon_form.exact(*case.batch(device), case.copies), path)
        return str(path)

    return of


def _warm() -> bool:
    return facts.allocator(os.environ) == "warm"


def _cases() -> list[tuple[str, Case, Sequence[str], int]]:
    return [(kind, *case) for kind, cases in CASES.items() for case in cases]


def _said(case: Case) -> str:
    classes = f", {-(-case.n // case.copies // case.per_class)} classes" if case.per_class != 4 else ""
    return f"{case.n} × {case.d}{classes}"


@pytest.mark.parametrize(("kind", "case", "names", "rounds"), _cases(), ids=str)
def test_supcon_loss(
    kind: str,
    case: Case,
    names: Sequence[str],
    rounds: int,
    asked: Callable[..., dict[str, Any]],
    judge: Callable[[Case], str],
    device: torch.device,
    benchmark: BenchmarkFixture,
) -> None:
    if kind != device.type:
        pytest.skip(f"a case for {kind}")
    if _warm() and not (names == ALL[:2] and case.n == 4096):
        pytest.skip(
            "measured with the default allocator, as most users have it, where memory can be told; one row here"
        )
    if TINY:
        names = [name for name in names if name in TRIED]
        case = replace(case, n=16 * case.copies, d=8, per_class=4)
    question = {"case": asdict(case), "judge": judge(case)}
    first = {name: asked(name, **question) for name in (*names, "matmul")}
    failed = {name: said["failed"] for name, said in first.items() if "failed" in said}
    assert not {"ours", "matmul"} & set(failed), failed
    flops = first.pop("matmul")["flops"]
    first = {name: said for name, said in first.items() if name not in failed}
    for name, said in first.items():
        assert max(said["errors"]) <= TOLERANCE[case.dtype][kind], f"{name} is wrong by {said['errors']} in {case}"
    in_turns = ["matmul", *(first if rounds else ())]
    samples: dict[str, list[float]] = {name: [] for name in (*first, "matmul")}

    def round_of_all() -> None:
        for name in in_turns:
            samples[name].append(asked(name, time=True)["ms"])
        in_turns.append(in_turns.pop(0))

    benchmark.group = "supcon_loss"
    benchmark.pedantic(round_of_all, rounds=2 if TINY else rounds or 5)
    if rounds <= 1:  # the call whose memory was measured counts too
        for name, said in first.items():
            samples[name].append(said["ms"])
    moved = case.n**2 * case.d * (1 if case.passes == FORWARD else 4)
    samples["floor"] = [ms * moved / flops for ms in samples.pop("matmul")]
    row: dict[str, Any] = {"op": "supcon_loss", "case": _said(case), "dtype": case.dtype, "layout": ""}
    record(
        row
        | {"passes": case.passes, "floor_is": "matmul", "flops": moved, "copies": case.copies}
        | {"median_ms": {name: statistics.median(values) for name, values in samples.items()}}
        | {"samples_ms": {name: [round(v, 5) for v in values] for name, values in samples.items()}}
        | {"peak_bytes": {name: said["peak_bytes"] for name, said in first.items()}}
        | {"error_to_fp64": {name: said["errors"] for name, said in first.items()}, "failed": failed}
    )
