from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from smoothswap.core.errors import BackendError
from smoothswap.ops import can_run, native, report, upfirdn2d, use
from smoothswap.ops.backend import BACKENDS, ops

x = torch.randn(1, 1, 4, 4)


def test_reference_runs_everything():
    for op in ops():
        assert can_run(op, "reference", x) is None


def test_a_backend_that_cannot_run_raises_with_the_reason():
    reason = can_run("upfirdn2d", "cuda", x, None)
    assert reason
    with use("cuda"), pytest.raises(BackendError, match="upfirdn2d cannot run on the cuda backend") as caught:
        upfirdn2d(x, None)
    assert reason in str(caught.value)
    assert "smoothswap.ops.use" in str(caught.value)


def test_unknown_backend():
    with pytest.raises(BackendError, match="unknown backend 'gpu'"), use("gpu"):
        pass


def test_environment_chooses_and_use_overrides_it(monkeypatch):
    monkeypatch.setenv("SMOOTHSWAP_OPS", "cuda")
    with pytest.raises(BackendError, match="asked for by SMOOTHSWAP_OPS"):
        upfirdn2d(x, None)
    with use("reference"):
        upfirdn2d(x, None)
    with use("auto"):
        upfirdn2d(x, None)
    monkeypatch.setenv("SMOOTHSWAP_OPS", "quick")
    with pytest.raises(BackendError, match="unknown backend 'quick' in SMOOTHSWAP_OPS"):
        upfirdn2d(x, None)


def test_blocks_nest():
    with use("reference"):
        with use("cuda"), pytest.raises(BackendError):
            upfirdn2d(x, None)
        upfirdn2d(x, None)


def test_report_has_a_row_for_each_op_with_reasons():
    rows = [row for row in report() if row.device == "cpu"]
    assert [row.op for row in rows] == ops()
    for row in rows:
        assert row.backend in BACKENDS
        assert row.backend == "cpu" or row.why_not["cpu"]


def test_import_builds_and_loads_nothing():
    code = (
        "import smoothswap.ops, torch; from smoothswap.ops.native import missing; print(missing.cache_info().currsize)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"


def test_the_library_has_what_this_version_calls():
    if not native.LIBRARY.exists():
        pytest.skip("the compiled kernels are not built")
    assert "another version" not in (native.missing() or "")


@pytest.fixture
def _loaded_anew():
    native.missing.cache_clear()
    yield
    native.missing.cache_clear()


@pytest.mark.usefixtures("_loaded_anew")
def test_a_library_of_another_version_is_a_reason_and_the_reference_serves(monkeypatch, tmp_path):
    class Packet:
        def __init__(self, arguments):
            self.default = SimpleNamespace(_schema=SimpleNamespace(arguments=[None] * arguments))

    fitting = {name: Packet(count) for name, count in native._ARGUMENTS.items()}
    older = {name: packet for name, packet in fitting.items() if name not in ("isa", "group_norm_act")}
    older["bias_act"] = Packet(len(fitting["bias_act"].default._schema.arguments) - 1)
    (tmp_path / "_native.so").touch()
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "_native.so")
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    monkeypatch.setattr(torch.ops, "smoothswap_native", SimpleNamespace(**older))
    reason = can_run("upfirdn2d", "cpu", x, None)
    assert reason is not None
    assert "another version (bias_act, group_norm_act, isa); build them again" in reason
    assert upfirdn2d(x, None).shape == x.shape
    with use("cpu"), pytest.raises(BackendError, match="another version"):
        upfirdn2d(x, None)
