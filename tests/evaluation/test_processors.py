"""Every figure that compares cosines has the same bits under other instructions, other sums and more threads."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Whole numbers by seven: random numbers of a normal distribution depend on the processor themselves. Few values and
# copies at other lengths, so that much is equal.
FIGURES = """
import sys
import torch
from smoothswap.evaluation import identify, nearer_to_source, nearest, pair_scores, similarity, verify, walk
from smoothswap.losses.triplet import TripletLoss

torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), file=sys.stderr)
for D in (3, 7, 65, 512):
    z = torch.randint(-2 if D == 3 else -50, 3, (90, D)).float() / 7 + 0.1
    z = torch.cat([z, z[torch.randperm(90)] * 3, z[torch.randperm(90)] * 0.1])
    labels = torch.randint(30, (270,))
    print(verify(z, labels, far=0.1), identify(z, labels))
    print(nearest(z, z.flip(0)).tolist(), walk(z[:90], z[30:120], z[60:]).nearest.tolist())
    same, different = pair_scores(z, labels)
    print([value.hex() for value in (*same.tolist(), *different[:500].tolist(), *similarity(z, z.flip(0)).tolist())])
    print(nearer_to_source(z, z.flip(0), z.roll(90, 0)).tolist())
    for mining in ("hard", "semi_hard"):
        asked = z.clone().requires_grad_()
        TripletLoss(TripletLoss.Config(mining=mining, margin=0.2))(asked, labels).backward()
        print(asked.grad.abs().amax(1).gt(1e-4).tolist())
"""


@functools.cache
def plain() -> str:
    return figures(1)


def figures(threads: int, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", FIGURES, str(threads)],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, **environment, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert environment.get("ATEN_CPU_CAPABILITY", "").upper() in run.stderr
    return run.stdout


@pytest.mark.parametrize(
    "environment",
    [
        {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "SMOOTHSWAP_ISA": "baseline"},
        {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"},
    ],
    ids=["plain", "avx2"],
)
def test_the_same_bits(environment: dict[str, str]) -> None:
    assert figures(2, **environment) == plain()
