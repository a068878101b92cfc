"""The kernels on instruction sets that this processor does not choose by itself: what older ones run is right too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smoothswap.core.errors import BackendError
from smoothswap.ops.native import missing

HERE = Path(__file__).parent
FILES = ["native/test_upfirdn2d_native.py", "native/test_native.py", "native/test_bias_act_native.py"]
FILES += ["native/test_modulated_conv2d_native.py", "ops/test_group_norm_act.py"]
# Of their tests those that compare values, on the C++ kernels alone.
CHOSEN = "not (triton or reference or threads or compiles or opcheck or errors or derivative)"


@pytest.fixture(autouse=True)
def _built() -> None:
    if reason := missing():
        pytest.skip(reason)


def on_isa(isa: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A subprocess of Python under SMOOTHSWAP_ISA."""
    environment = {**os.environ, "SMOOTHSWAP_ISA": isa, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("isa", ["baseline", "avx2"])
def test_on_a_lesser_instruction_set(isa):
    name = "from smoothswap.ops import native; native.missing(); import torch; print(torch.ops.smoothswap_native.isa())"
    answer = on_isa(isa, "-c", name)
    if "SMOOTHSWAP_ISA is" in answer.stderr:
        pytest.skip(answer.stderr.splitlines()[-2])  # this processor has it not
    assert answer.stdout.strip() == isa
    files = [str(HERE.parent / name) for name in FILES]
    run = on_isa(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", CHOSEN)
    assert run.returncode == 0, run.stdout[-4000:]


def test_an_unknown_instruction_set_is_an_error():
    code = "import torch; from smoothswap.ops import upfirdn2d; upfirdn2d(torch.ones(1, 1, 4, 4), None)"
    run = on_isa("avx3", "-c", code)
    assert run.returncode != 0
    assert f"{BackendError.__name__}: SMOOTHSWAP_ISA is 'avx3', expected baseline, avx2 or avx512" in run.stderr
