"""What the Triton kernels alone promise: every way through modulated_conv2d, reasons to refuse, no import unasked."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.core.errors import BackendError
from smoothswap.ops import (
    bias_act,
    can_run,
    conv2d_triton,
    modulated_conv2d,
    report,
    setup_filter,
    triton_runtime,
    use,
)
from smoothswap.ops.scaled_conv2d import adjoint_padding, scaled_conv2d

FIR = setup_filter([1, 3, 3, 1])

# name: kernel size, up, down, padding
MODES = {
    "same": ((3, 3), 1, 1, 1),
    "point": ((1, 1), 1, 1, 0),
    "uneven": ((2, 3), 1, 1, [1, -1, 0, 2]),
    "up": ((3, 3), 2, 1, 1),
    "up of a column": ((3, 1), 2, 1, [0, 0, 1, 1]),
    "up by three": ((2, 1), 3, 1, 1),
    "point up": ((1, 1), 2, 1, 0),
    "down": ((3, 3), 1, 2, 1),
    "both": ((1, 3), 2, 3, 1),
}


@pytest.fixture
def triton():
    if reason := can_run("modulated_conv2d", "triton"):
        pytest.skip(reason)
    device = "cpu" if triton_runtime.interpreted() else "cuda"
    before = torch.get_default_device()
    torch.set_default_device(device)
    yield device
    torch.set_default_device(before)


def inputs(kernel, dtype=torch.float32, I=5, O=18, size=(5, 4)):
    x = torch.randn(2, I, *size, dtype=dtype)
    return x, torch.randn(O, I, *kernel, dtype=dtype), torch.randn(2, I, dtype=dtype)


@pytest.mark.parametrize("mode", MODES)
def test_modulated_conv2d_in_every_mode(triton, mode):
    kernel, up, down, padding = MODES[mode]
    x, w, s = inputs(kernel)
    f = FIR.to(triton)
    options = {"bias": torch.randn(18), "act": "lrelu", "clamp": 2.0, "flip_weight": mode != "same"}
    for layout in (torch.contiguous_format, torch.channels_last):
        x = x.contiguous(memory_format=layout)
        with use("reference"):
            expected = modulated_conv2d(x, w, s, torch.randn([]), up, down, padding, f, **options)
            noise = torch.randn(2, 1, *expected.shape[2:])
            expected = modulated_conv2d(x, w, s, noise, up, down, padding, f, **options)
        with use("triton"):
            y = modulated_conv2d(x, w, s, noise, up, down, padding, f, **options)
        assert y.is_contiguous(memory_format=layout)
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("noise", [(), (18, 1, 1), (1, 1, 5, 4), (2, 18, 5, 4)], ids=str)
def test_noise_of_any_shape(triton, noise):
    x, w, s = inputs((3, 3))
    noise = torch.randn(noise)
    with use("triton"):
        y, plain = modulated_conv2d(x, w, s, noise, padding=1), modulated_conv2d(x, w, s, padding=1)
    torch.testing.assert_close(y, plain + noise)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_sums_in_fp32(triton, dtype):
    x, w, s = inputs((3, 3), dtype, I=70, O=33)
    with use("reference"):
        exact = modulated_conv2d(x.double(), w.double(), s.double(), padding=1)
    with use("triton"):
        y = modulated_conv2d(x, w, s, padding=1)
    assert y.dtype == dtype
    # One rounding of x·s, then of the result: 630 products' own roundings average out.
    assert (y.double() - exact).abs().max() <= 2 * torch.finfo(dtype).eps * exact.abs().max()


@pytest.mark.parametrize("padding", [[1] * 4, [0, 2, -1, 1]], ids=str)
@pytest.mark.parametrize("adjoint", [False, True])
def test_scaled_conv2d(triton, padding, adjoint):
    w = torch.randn(4, 19, 3, 3)
    x = torch.randn(2, 4 if adjoint else 19, 6, 5)
    before, after = torch.randn(2, x.shape[1]), torch.randn(2, 19 if adjoint else 4)
    pads = adjoint_padding(w, padding) if adjoint else padding
    with use("reference"):
        expected = scaled_conv2d(x, w, before, after, pads, adjoint)
    with use("triton"):
        torch.testing.assert_close(scaled_conv2d(x, w, before, after, pads, adjoint), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("programs", [1, 50])
def test_weight_gradient_in_parts(triton, programs, monkeypatch):
    x, w, before = inputs((3, 2), size=(6, 5))
    g, after = torch.randn(2, 18, 6, 4), torch.randn(2, 18)
    monkeypatch.setattr(conv2d_triton, "_PROGRAMS", programs)
    mine = conv2d_triton.weight_gradient(x, g, before, after, (0, 1), (3, 2))
    u = torch.nn.functional.pad(x * before[:, :, None, None], [0, 0, 1, 1])
    v = g * after[:, :, None, None]
    expected = torch.stack(
        [torch.einsum("nohw,nihw->oi", v, u[:, :, ky : ky + 6, kx : kx + 4]) for ky in range(3) for kx in range(2)],
        dim=-1,
    )
    torch.testing.assert_close(mine, expected.reshape(w.shape), rtol=1e-4, atol=1e-4)


def test_first_and_second_derivative_of_the_convolution(triton):
    if not triton_runtime.interpreted():
        pytest.skip("fp64 convolutions are interpreted only")
    x, w, s = (t.requires_grad_() for t in inputs((1, 3), torch.float64, I=2, O=3, size=(2, 3)))

    def op(x, w, s):
        return modulated_conv2d(x, w, s, padding=[1, 1, 0, 0], act="lrelu")

    with use("triton"):
        assert gradcheck(op, (x, w, s), fast_mode=True)
        assert gradgradcheck(op, (x, w, s), fast_mode=True)


def test_the_interpreter_serves_only_who_asks_for_it():
    if not triton_runtime.interpreted():
        pytest.skip("kernels are compiled here")
    x = torch.randn(3)
    assert can_run("bias_act", "triton", x) is None
    assert "triton" not in {row.backend for row in report()}
    assert can_run("bias_act", "triton", x.to("meta")) == "the triton kernel takes cpu tensors, this one is on meta"


def test_reasons(monkeypatch):
    monkeypatch.setattr(triton_runtime, "interpreted", lambda: False)
    assert can_run("bias_act", "triton", torch.randn(3)).endswith("takes cuda tensors, this one is on cpu")
    monkeypatch.setattr(triton_runtime, "missing", lambda: None)
    for capability, dtype, reason in (
        ((7, 0), torch.float32, "Triton needs compute capability 7.5, this device has 7.0"),
        ((7, 5), torch.bfloat16, "bf16 needs compute capability 8.0, this device has 7.5"),
        ((7, 5), torch.float16, None),
        ((8, 0), torch.bfloat16, None),
    ):
        monkeypatch.setattr(triton_runtime, "_capability", lambda device, capability=capability: capability)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        assert triton_runtime.device_objection(torch.randn(3).to(dtype)) == reason


def test_a_machine_without_triton_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(triton_runtime.importlib.util, "find_spec", lambda name: None)
    triton_runtime.missing.cache_clear()
    try:
        with use("triton"), pytest.raises(BackendError, match="pip install triton"):
            bias_act(torch.randn(3, device="cpu" if triton_runtime.interpreted() else "cuda"))
    finally:
        triton_runtime.missing.cache_clear()


def test_cpu_tensors_do_not_import_triton():
    code = (
        "import sys, torch; from smoothswap.ops import bias_act, upfirdn2d, report;"
        "bias_act(torch.randn(3)); upfirdn2d(torch.randn(1, 1, 4, 4), None); report(); print('triton' in sys.modules)"
    )
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "TRITON_INTERPRET": "0"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "False"
