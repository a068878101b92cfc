"""Building: what cannot build it says so in two lines."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import runpy, sys, setuptools
setuptools.__version__ = sys.argv.pop(1)
sys.argv[0] = "setup.py"
runpy.run_path("setup.py", run_name="__main__")
"""


def _setup(version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, version, "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("version", ["65.5.0", "76.1.0", "58.1"])
def test_an_old_setuptools_is_named_with_what_to_type(version: str) -> None:
    done = _setup(version)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"smoothswap: setuptools {version} is too old to build it: 77 or later is needed",
        "pip install 'setuptools>=77', or leave out --no-build-isolation",
    ]


def test_the_oldest_is_that_of_pyproject() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"] == ["setuptools>=77"]
