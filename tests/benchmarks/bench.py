"""`make bench`: the benchmarks on the CPU, once with the default allocator and once with a warm one; JSON and tables.

    python tests/benchmarks/bench.py [--out docs/benchmarks] [--allocator default|warm] [--tiny] [pytest options …]

Options for pytest choose rows, like `-k "upfirdn2d and up2"`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from benchmarks import facts, table

PYTEST = ["-m", "pytest", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "-q"]
BENCHMARKS = [
    *PYTEST,
    "-o",
    "filterwarnings=default",
    "-W",
    "ignore",
    "--benchmark-only",
    "--benchmark-quiet",
    "--no-header",
    "--no-summary",
]


def environment(allocator: str, rows: Path, tiny: bool) -> dict[str, str]:
    """Of the measuring process; the allocator reads its part when the process starts."""
    chosen = {k: v for k, v in os.environ.items() if k not in facts.WARM} | (facts.WARM if allocator == "warm" else {})
    chosen |= {"BENCH_ROWS": str(rows), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return chosen | ({"BENCH_TINY": "1"} if tiny else {})


def measure(allocator: str, out: Path, tiny: bool, options: list[str]) -> int:
    """One run of the benchmarks, its file and its tables; pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        command = [sys.executable, *BENCHMARKS, *options, str(facts.ROOT / "tests" / "benchmarks")]
        done = subprocess.run(command, env=environment(allocator, rows, tiny), cwd=facts.ROOT, check=False)
        found = facts.facts("cpu") | {"allocator": allocator} | ({"tiny": True} if tiny else {})
        path = out / facts.file_name(found)
        result = facts.write(path, found, rows, exit_code=done.returncode)
    print(table.render(result))
    print(f"{table.missed(result)} rows miss a target; wrote {path}\n")
    return done.returncode


def main() -> int:
    """Exit code 1 where a run failed: contestants that disagree, for one. A missed target is no failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=facts.ROOT / "docs" / "benchmarks")
    parser.add_argument("--allocator", choices=["default", "warm"], help="only this one; without it both")
    parser.add_argument("--tiny", action="store_true", help="sizes and rounds that only try the code")
    known, options = parser.parse_known_args()
    allocators = [known.allocator] if known.allocator else ["default", "warm"]
    codes = [measure(allocator, known.out, known.tiny, options) for allocator in allocators]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
