"""Every example runs, without a warning, and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PROMISES = {
    "01_build_and_list.py": ["smooth_resnet50", "starts as the identity map", "Did you mean 'smooth_unet'"],
    "02_ops_alone.py": ["step 4", "upfirdn2d"],
    "03_faceworld_sheet.py": ["wrote faceworld.png"],
    "04_train_tiny.py": ["generator.safetensors", "swapped [2, 3, 32, 32]"],
    "05_write_a_plugin.py": ["brightness: 2.0", "smoothswap-colour 0.1.0: 1 components, error: None", "weight=3.0"],
    "06_stylegan2_discriminator_on_our_ops.py": ["R1 penalty", "gradient of the first weight"],
    "07_supcon_in_your_own_loop.py": ["step 200", "nearest neighbour right"],
}


def test_every_example_is_run() -> None:
    assert sorted(PROMISES) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def _printed(name: str, folder: Path) -> str:
    # A process of its own: examples register components and set seeds.
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PROMISES)
def test_example(name: str, tmp_path: Path) -> None:
    printed = _printed(name, tmp_path)
    for promise in PROMISES[name]:
        assert promise in printed
    if name == "02_ops_alone.py":
        penalties = [float(value) for value in re.findall(r"penalty ([0-9.]+)", printed)]
        assert len(penalties) == 5
        assert penalties == sorted(penalties, reverse=True)
        assert penalties[-1] > 0
    if name == "07_supcon_in_your_own_loop.py":
        losses, right = ([float(v) for v in re.findall(form, printed)] for form in (r"loss ([0-9.]+)", r"(\d+)%"))
        assert len(losses) == len(right) == 5
        assert losses == sorted(losses, reverse=True)
        assert right[0] < 60 < 90 < right[-1]
