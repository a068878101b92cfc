"""The programs behind `make bench` and `make gpu`, tried at tiny sizes on the CPU; the tables, on made-up times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import facts, gpu, table
from benchmarks.clock import Clock, Turns
from benchmarks.targets import TARGETS, verdicts

HERE = Path(__file__).parent


def row(**times: float) -> dict[str, object]:
    where = {"op": "upfirdn2d", "case": "down2", "dtype": "fp32", "layout": "nchw", "passes": "forward"}
    return where | {"median_ms": times, "failed": {}}


def test_gpu_program_writes_every_step(tmp_path):
    program = [sys.executable, str(HERE / "gpu.py"), "--device", "cpu", "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(
        [*program, "--steps", "sanitize,bench"],
        # Without what pytest-xdist tells its workers, under which the benchmarks would not run.
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert {step["name"]: step["exit_code"] for step in result["steps"]} == {"sanitize": 0, "bench": 0}
    assert {row["op"] for row in result["rows"] if "op" in row} >= {"upfirdn2d", "bias_act", "modulated_conv2d"}
    for entry in result["rows"]:
        if "op" in entry:
            assert {"ours", "floor"} < set(entry["median_ms"])
            assert entry["median_ms"].keys() == entry["samples_ms"].keys()
    assert result["facts"]["tiny"]
    assert os.uname().nodename not in path.name


def test_a_step_that_fails_or_hangs_is_an_entry_like_the_others():
    failed = gpu.perform(gpu.Step("build", [sys.executable, "-c", "print('why'); raise SystemExit(3)"], 30))
    assert (failed["exit_code"], failed["output"].strip()) == (3, "why")
    late = gpu.perform(gpu.Step("test", [sys.executable, "-c", "import time; time.sleep(60)"], 1))
    assert late["exit_code"] == 124
    assert late["seconds"] < 30
    absent = gpu.perform(gpu.Step("bench", ["/nowhere/program"], 5))
    assert absent["exit_code"] == 127
    assert sum(step.seconds for step in gpu.steps("cuda", False, Path("rows"))) <= 540


def test_targets_compare_with_the_best_of_their_contestants():
    reached = {
        target.against: value for target, value in verdicts("cpu", row(ours=2, stock=8, **{"stock padded": 5}, floor=1))
    }
    assert reached == {("floor",): 0.5, ("stock", "stock padded"): 2.5}
    assert verdicts("cpu", row(ours=1, floor=1) | {"case": "small call"}) == []
    assert all(target.least > 0 for target in TARGETS)


def test_table_marks_what_misses():
    found = {"device": "cpu", "machine": "two cores", "threads": 2, "allocator": "warm", "torch": "2", "date": "today"}
    result = {"facts": found, "rows": [row(ours=2.0, stock=8.0, floor=1.0), {"ceiling": "copy", "GB/s": 20.0}]}
    shown = table.render(result)
    assert "| 2.00    | 8.00 (4.0×) | 1.00  | 50%" in shown
    assert "≥ 60% of copy: 50% **MISSED**; ≥ 2.2× stock or stock padded: 4.00×" in shown
    assert "copy: 20.0 GB/s" in shown
    assert table.missed(result) == 1
    assert table.missed(result | {"facts": found | {"allocator": "default"}}) == 0


def test_contestants_take_turns():
    import torch

    order: list[str] = []
    turns = Turns(Clock(torch.device("cpu"), tiny=True), {name: lambda name=name: order.append(name) for name in "abc"})
    for _ in range(3):
        turns.round()
    assert "".join(order) == "abcbcacab"
    assert all(len(samples) == 3 for samples in turns.samples.values())


def test_allocator_is_read_from_the_environment():
    assert facts.allocator({}) == "default"
    assert facts.allocator(facts.WARM) == "warm"
    assert facts.allocator({**facts.WARM, "MALLOC_TRIM_THRESHOLD_": "1"}) == "default"
