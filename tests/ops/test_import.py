"""Importing the ops does nothing else; and what is said where compiler, Triton and kernels are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smoothswap

WATCHED = """
import os, sys
import torch
before, events = dict(os.environ), []
sys.addaudithook(lambda event, _: events.append(event))
import smoothswap.ops, smoothswap.ops.stylegan
assert dict(os.environ) == before, "the environment was changed"
started = {"os.putenv", "os.unsetenv", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"} & set(events)
assert not started, started
assert "triton" not in sys.modules, "Triton was imported"
libraries = open("/proc/self/maps").read() if os.path.exists("/proc/self/maps") else ""
assert "smoothswap/ops/_native" not in libraries, "a kernel library was loaded"
"""


def run(code: str, root: Path, **environment: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", "SMOOTHSWAP_OPS", "CC", "CXX")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"PYTHONPATH": str(root), "COLUMNS": "400", "NO_COLOR": "1"} | environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the package as an installation without compiler leaves it: no shared libraries."""
    package = Path(smoothswap.__file__).parent
    shutil.copytree(package, tmp_path / "smoothswap", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return tmp_path


def test_import_compiles_loads_and_sets_nothing(tmp_path):
    caches = {name: str(tmp_path / name) for name in ("HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")}
    run(WATCHED, Path(smoothswap.__file__).parents[1], **caches, TORCH_EXTENSIONS_DIR=str(tmp_path / "extensions"))
    assert list(tmp_path.iterdir()) == []


def test_ops_work_and_doctor_says_what_is_missing(bare):
    said = run(
        "import sys; sys.modules['triton'] = None  # as where it is not installed\n"
        "import torch\n"
        "from smoothswap import ops\n"
        f"assert ops.__file__.startswith({str(bare)!r})\n"
        "y = ops.upfirdn2d(torch.ones(1, 1, 4, 4), ops.setup_filter([1, 3, 3, 1]), down=2, padding=1)\n"
        "assert y.shape == (1, 1, 2, 2) and ops.can_run('upfirdn2d', 'cuda', y.to('meta'))\n"
        "print('triton:', ops.can_run('upfirdn2d', 'triton'))\n"
        "from smoothswap.cli import main\n"
        "try:\n    main(['doctor'])\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n",
        bare,
        PATH=str(bare),
        CUDA_VISIBLE_DEVICES="",
    )
    assert "the compiled kernels are not built (`pip install .` of the source" in said
    assert "a C++ compiler" in said
    served = [line.split() for line in said.splitlines() if " cpu " in line and "reference" in line]
    named = {word for words in served for word in words}
    assert {"upfirdn2d", "bias_act", "modulated_conv2d", "supcon_lse", "group_norm_act"} <= named
    triton = next(line for line in said.splitlines() if line.startswith("triton:"))
    assert "None" not in triton
