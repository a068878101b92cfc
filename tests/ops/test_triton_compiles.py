"""Triton's compiler makes of every kernel code for sm_80 and sm_90 that keeps to registers and uses what they have."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")

SHARED = {80: 163 * 1024, 90: 227 * 1024}  # bytes a block may have


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton")), "TRITON_INTERPRET": "0"}
    script = Path(__file__).with_name("compile_triton.py")
    run = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {row["case"]: row for row in map(json.loads, run.stdout.splitlines())}


def test_nothing_spills_and_blocks_fit(facts):
    assert len(facts) == 19
    for row in facts.values():
        # A number or two that wait for the kernel's end are no spill of its loops.
        assert row["stack"] <= (16 if "lse" in row["case"] else 0), row
        assert row["shared"] <= SHARED[row["capability"]], row


def test_enough_threads_fit_to_hide_memory(facts):
    # 65,536 registers: half of the 2,048 threads a processor holds need at most 64 each, a third 80.
    for case in ("bias_act", "bias_act nhwc", "bias_act_grad", "up4"):
        assert facts[case]["registers"] <= 64
    for case in ("filter4", "down4 nhwc"):
        assert facts[case]["registers"] <= 80


def test_16_bytes_a_load(facts):
    for case in ("bias_act", "bias_act nhwc", "bias_act_grad", "down4 nhwc"):
        assert facts[case]["wide_loads"] >= 4
    for case in ("conv2d", "conv2d sm_80", "conv2d tf32", "conv2d weight"):
        assert facts[case]["copies"] >= 8
    for case, row in facts.items():
        if case.startswith("supcon") and case != "supcon merge":
            assert row["copies"] >= 12, row


def test_convolutions_use_tensor_cores(facts):
    for case in ("conv2d", "conv2d tf32", "conv2d weight"):
        assert facts[case]["wgmma"] >= 4
    assert facts["conv2d sm_80"]["mma"] >= 64


def test_supcon_uses_tensor_cores(facts):
    for case, row in facts.items():
        if case.startswith("supcon") and case != "supcon merge":
            # Two halves of a tile, 64 deep in steps of 16 (of 8 in TF32), in a block of 8 warps.
            assert row["mma"] >= 64 if row["capability"] == 80 else row["wgmma"] == 8, row
            assert row["registers"] <= 255, row


def test_fp64_numbers_do_not_draw_the_arithmetic_into_fp64(facts):
    assert all(row["double"] == 0 for row in facts.values())
