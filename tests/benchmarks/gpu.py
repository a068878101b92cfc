"""`make gpu`: builds, tests, checks memory accesses and measures on a CUDA machine; one JSON under docs/benchmarks/.

    python tests/benchmarks/gpu.py [--out docs/benchmarks] [--steps build,test,sanitize,bench] [--device cpu --tiny]

Every step is a process with a time limit. The file is rewritten after each, with the step's exit code, so that one that
fails, hangs or is stopped loses nothing of the others; the exit code is 1 at the end where any failed. All together
they end within nine minutes. `--device cpu --tiny` tries the whole of it on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from benchmarks import facts, table
from benchmarks.bench import BENCHMARKS, PYTEST

HERE = Path(__file__).resolve().parent
TAIL = 4000  # characters of a failed step's output that are kept


@dataclass(frozen=True)
class Step:
    """One process.

    Attributes:
        name: in the file and on the command line.
        command: with arguments.
        seconds: its limit.
        environment: what it gets on top of this process's.
        skipped: why it does not run; "" where it does.
    """

    name: str
    command: Sequence[str]
    seconds: int
    environment: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""


def steps(device: str, tiny: bool, rows: Path) -> Iterator[Step]:
    """All steps in their order; the limits sum to less than nine minutes."""
    python = sys.executable
    yield Step("build", [python, "setup.py", "build_ext", "--inplace"], 110, {"SMOOTHSWAP_NATIVE": "1"})
    tests = ["-m", "gpu" if device == "cuda" else "not gpu", "--benchmark-skip", *_gpu_tests(device)]
    yield Step("test", [python, *PYTEST, *tests], 130)
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    yield Step(
        "sanitize",
        [sanitizer or "", "--error-exitcode", "9", python, str(HERE / "sanitized.py"), device],
        70,
        # Each tensor an allocation of its own: inside the caching allocator's blocks an overrun stays unseen.
        {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
        "" if sanitizer and device == "cuda" else "compute-sanitizer is not installed",
    )
    measuring = {"BENCH_ROWS": str(rows)} | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})
    measuring |= {"BENCH_TINY": "1"} if tiny else {}
    yield Step("bench", [python, *BENCHMARKS, str(HERE)], 220, measuring)


def _gpu_tests(device: str) -> list[str]:
    """Files with tests for a GPU; naming them spares collecting, and importing the needs of, all the others."""
    if device == "cpu":
        return [str(facts.ROOT / "tests" / "ops" / "test_filters.py")]
    tests = facts.ROOT / "tests"
    elsewhere = (p for p in tests.rglob("test_*.py") if "mark.gpu" in p.read_text(encoding="utf-8"))
    return [str(tests / "ops"), *(str(p) for p in sorted(elsewhere) if tests / "ops" not in p.parents)]


def perform(step: Step) -> dict[str, Any]:
    """Runs a step; its entry for the file."""
    if step.skipped:
        print(f"== {step.name}: skipped, {step.skipped}", flush=True)
        return {"name": step.name, "exit_code": 0, "seconds": 0.0, "skipped": step.skipped}
    print(f"== {step.name}: {' '.join(step.command)}", flush=True)
    start, entry = time.monotonic(), {"name": step.name}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        code = _exit_code(step, log)
        log.seek(0)
        output = log.read()
    print(output, flush=True)
    entry |= {"exit_code": code, "seconds": round(time.monotonic() - start, 1)}
    lines = output.strip().splitlines()
    return entry | ({"output": output[-TAIL:]} if code else {"said": lines[-1] if lines else ""})


def _exit_code(step: Step, log: IO[str]) -> int:
    """124: out of time; 127: no such program."""
    path = os.pathsep.join([str(facts.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        running = subprocess.Popen(
            step.command,
            cwd=facts.ROOT,
            env=os.environ | {"PYTHONPATH": path} | step.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        log.write(f"{error}\n")
        return 127
    try:
        return running.wait(step.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)  # with the compilers it may have started
        running.wait()
        log.write(f"\nstopped after {step.seconds} s\n")
        return 124


def main() -> int:
    """Runs the steps that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=facts.ROOT / "docs" / "benchmarks")
    parser.add_argument("--steps", default="build,test,sanitize,bench", help="which, separated by commas")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that only try the code")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"make gpu needs a CUDA device, and PyTorch {torch.__version__} sees none here", file=sys.stderr)
        return 2
    found = facts.facts(asked.device) | ({"tiny": True} if asked.tiny else {})
    path, entries = asked.out / facts.file_name(found), []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        for step in steps(asked.device, asked.tiny, rows):
            if step.name in asked.steps.split(","):
                entries.append(perform(step))
                result = facts.write(path, found, rows, steps=entries)
    print(table.render(result))
    print(f"{table.missed(result)} rows miss a target; wrote {path}")
    return int(any(entry["exit_code"] for entry in entries))


if __name__ == "__main__":
    sys.exit(main())
