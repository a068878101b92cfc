"""The compiled kernels against the reference, at sizes that reach every fast path, and the facts of their build."""

from __future__ import annotations

import importlib

import pytest
import torch

from smoothswap.ops import bias_act, report, setup_filter, upfirdn2d, use
from smoothswap.ops.native import missing

FIR = setup_filter([1, 3, 3, 1])
WIDE = setup_filter([1, 4, 6, 4, 1, 2, 1, 1, 1])
LOPSIDED = torch.tensor([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
# name: f, up, down, padding
CASES = {
    "down2": (FIR, 1, 2, 1),
    "up2": (FIR, 2, 1, [2, 1, 2, 1]),
    "filter": (FIR, 1, 1, [2, 1, 2, 1]),
    "adjoint of filter": (FIR, 1, 1, [1, 2, 1, 2]),
    "up2, odd": (FIR, 2, 1, [2, 2, 1, 1]),
    "wide": (WIDE, 2, 3, 4),
    "lopsided": (LOPSIDED, [3, 2], [1, 2], [5, -3, -2, 4]),
    "zeros beyond the filter": (FIR, 2, 1, 40),
}


@pytest.fixture(autouse=True)
def _built() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("case", CASES)
def test_upfirdn2d_agrees_with_the_reference(case, layout, dtype):
    f, up, down, padding = CASES[case]
    for size in ((33, 47), (16, 64)):
        x = torch.randn(3, 5, *size).to(dtype).contiguous(memory_format=layout)
        with use("reference"):
            expected = upfirdn2d(x, f, up, down, padding, gain=2)
        with use("cpu"):
            torch.testing.assert_close(upfirdn2d(x, f, up, down, padding, gain=2), expected)


def test_fp16_conversion_is_exact_over_all_values():
    x = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16).view(torch.float16)
    with use("cpu"):
        torch.testing.assert_close(bias_act(x), x, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(bias_act(x, gain=0.3), (x.float() * 0.3).half(), rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(bias_act(x, gain=3), (x.float() * 3).half(), rtol=0, atol=0, equal_nan=True)


def test_bf16_conversion_is_exact_over_all_values():
    x = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    with use("cpu"):
        torch.testing.assert_close(bias_act(x, gain=0.3), (x.float() * 0.3).bfloat16(), rtol=0, atol=0, equal_nan=True)


def test_the_result_does_not_depend_on_the_number_of_threads():
    x = torch.randn(4, 16, 64, 64)
    with use("cpu"):
        one = upfirdn2d(x, FIR, up=2, padding=[2, 1, 2, 1])
        torch.set_num_threads(2)
        try:
            two = upfirdn2d(x, FIR, up=2, padding=[2, 1, 2, 1])
        finally:
            torch.set_num_threads(1)
    assert torch.equal(one, two)


def test_the_kernels_serve_by_themselves():
    rows = {row.op: row.backend for row in report() if row.device == "cpu"}
    assert rows["upfirdn2d"] == rows["bias_act"] == rows["bias_act_grad"] == "cpu"


def test_build_facts():
    try:
        build = importlib.import_module("smoothswap._build")
    except ModuleNotFoundError:
        pytest.skip("built without pybind11")
    assert all(isinstance(getattr(build, name), str) for name in ("compiler", "flags", "torch", "date"))
