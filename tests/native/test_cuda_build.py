"""What nvcc made of the CUDA kernels: no local memory, few enough registers, 16-byte accesses in the fast ones."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from smoothswap.ops.native_cuda import LIBRARY, build

# Kernels with a bound on registers: 65,536 of them in a multiprocessor, two blocks of 256 threads at least.
MOST = 128
# Those whose only accesses to images are 16 bytes wide, and how many of their loads and stores are; the windows of four
# taps have pixels beside the packs besides.
WIDE = {
    "upfirdn2d_channels.*Li[48]E": (3, 1),
    "upfirdn2d_planes.*ModeE0ELi[12]E": (4, 4),
    "upfirdn2d_planes.*ModeE1ELi1E": (4, 2),
    "upfirdn2d_planes.*ModeE2ELi2E": (0, 4),
    "bias_act_kernel.*BiasE[012]E": (4, 4),
    "bias_act_grad_kernel": (4, 2),
    "bias_act_backward_runs": (2, 1),
    "modulate_planes": (3, 2),
    "modulate_pixels": (2, 1),
}


def _tool() -> str | None:
    """cuobjdump of the CUDA toolkit, or the one in Triton's package."""
    if found := shutil.which("cuobjdump"):
        return found
    spec = importlib.util.find_spec("triton")
    inside = Path(spec.origin).parent / "backends/nvidia/bin/cuobjdump" if spec and spec.origin else None
    return str(inside) if inside and inside.exists() else None


def _dump(what: str, *options: str) -> str:
    tool = _tool()
    if tool is None:
        pytest.skip("no cuobjdump, neither of CUDA nor in Triton's package")
    if not LIBRARY.exists():
        pytest.skip("the CUDA kernels are not built")
    return subprocess.run([tool, what, *options, str(LIBRARY)], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def usage() -> list[tuple[str, dict[str, int]]]:
    """Name and use of resources of every kernel, once for each architecture."""
    kernels = re.findall(r"Function (\S+):\s+(REG:.*)", _dump("--dump-resource-usage"))
    return [(name, {k: int(v) for k, v in re.findall(r"(\w+)(?:\[0\])?:(\d+)", facts)}) for name, facts in kernels]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_machine_code_for_each_architecture(architecture):
    assert architecture in _dump("--list-elf")
    assert architecture in (build() or "")


def test_code_for_later_architectures_is_there():
    assert "sm_90.ptx" in _dump("--list-ptx")


def test_no_kernel_uses_local_memory_or_too_many_registers(usage):
    assert len(usage) > 2 * 50
    for name, facts in usage:
        assert facts["STACK"] == facts["LOCAL"] == 0, (name, facts)
        assert facts["REG"] <= MOST, (name, facts)


def _functions(sass: str) -> Iterator[tuple[str, str]]:
    for part in sass.split("Function : ")[1:]:
        name, code = part.split("\n", 1)
        yield name, code


def test_fast_kernels_move_16_bytes_at_once():
    seen = dict.fromkeys(WIDE, 0)
    for name, code in _functions(_dump("--dump-sass", "-arch", "sm_90")):
        for pattern, (loads, stores) in WIDE.items():
            if re.search(pattern, name):
                seen[pattern] += 1
                assert len(re.findall(r"LDG\.E\.128", code)) >= loads, name
                assert len(re.findall(r"STG\.E\.128", code)) >= stores, name
    assert all(seen.values()), seen
