"""conv2d_weight_gradient against autograd's gradient of PyTorch's convolution, and its derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import backend, conv2d_triton, modulated_conv2d
from smoothswap.ops.conv2d_weight_gradient import conv2d_weight_gradient
from smoothswap.ops.scaled_conv2d import scaled_conv2d

PADDINGS = {"none": [0, 0, 0, 0], "same": [1, 1, 1, 1], "wide": [4, 4, 4, 4], "uneven, cropping": [2, -1, 0, 3]}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
TAPS = [3, 2]


def inputs(padding, dtype=torch.float32, I=5, O=18, size=(5, 6), batch=2, taps=TAPS):
    """x, before, g, after for a weight [O, I, *taps]; the scales in fp32, for fp64 in fp64."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    left, right, top, bottom = padding
    out = size[0] + top + bottom - taps[0] + 1, size[1] + left + right - taps[1] + 1
    x, g = torch.randn(batch, I, *size, dtype=dtype), torch.randn(batch, O, *out, dtype=dtype)
    return x, torch.randn(batch, I, dtype=wide), g, torch.randn(batch, O, dtype=wide)


def expected(x, before, g, after, padding):
    """In fp64, by autograd from the convolution itself."""
    x, g = x.double(), g.double()
    x = x if before is None else x * before.double()[:, :, None, None]
    g = g if after is None else g * after.double()[:, :, None, None]
    weight = torch.zeros(g.shape[1], x.shape[1], *TAPS, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(F.conv2d(F.pad(x, padding), weight), weight, g)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_is_the_gradient_of_the_weight(on, padding, layout):
    pads = PADDINGS[padding]
    x, before, g, after = inputs(pads)
    x, g = (t.contiguous(memory_format=LAYOUTS[layout]) for t in (x, g))
    with on("conv2d_weight_gradient"):
        for scales in ((before, None), (None, after)):
            mine = conv2d_weight_gradient(x, scales[0], g, scales[1], TAPS, pads)
            assert mine.is_contiguous(memory_format=LAYOUTS[layout])
            wanted = expected(x, scales[0], g, scales[1], pads)
            torch.testing.assert_close(mine.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_sums_in_fp32(on, dtype):
    """On the CPU and in Triton; PyTorch's own on a GPU rounds products and result once more each."""
    x, before, g, after = inputs([1] * 4, dtype, size=(9, 8))
    with on("conv2d_weight_gradient"):
        mine = conv2d_weight_gradient(x, before, g, after, TAPS, [1] * 4)
    assert mine.dtype == torch.float32
    wanted = expected(x, before, g, after, [1] * 4)
    few = 4 * torch.finfo(dtype).eps if "cuda" in (on.backend, on.device.type) else 1e-5
    assert (mine.double() - wanted).abs().max() <= few * wanted.abs().max()


def test_strided_tensors(on):
    x, before, g, after = inputs([1] * 4, size=(8, 7))
    wide, tall = torch.randn(2, 10, 8, 14), torch.randn(4, *g.shape[1:])
    x, g = wide[:, ::2, :, 1::2], tall[::2]
    with on("conv2d_weight_gradient"):
        mine = conv2d_weight_gradient(x, before, g, after, TAPS, [1] * 4)
    torch.testing.assert_close(mine.double(), expected(x, before, g, after, [1] * 4), rtol=1e-4, atol=1e-4)


def test_empty_batch(on):
    x, before, g, after = (t.requires_grad_() for t in inputs([1] * 4, batch=0))
    with on("conv2d_weight_gradient"):
        mine = conv2d_weight_gradient(x, before, g, after, TAPS, [1] * 4)
        gradients = torch.autograd.grad(mine.sum(), (x, before, g, after))
    assert mine.shape == (18, 5, 3, 2)
    assert not mine.any()
    assert [t.shape for t in gradients] == [t.shape for t in (x, before, g, after)]


def test_first_and_second_derivative(on):
    if on.backend == "triton" and not on.slow:
        pytest.skip("triton has no fp64 convolution on a GPU")
    pads, taps = PADDINGS["uneven, cropping"], [1, 2] if on.slow else TAPS
    arguments = [t.requires_grad_() for t in inputs(pads, torch.float64, I=2, O=3, size=(2, 3), taps=taps)]

    def op(x, before, g, after):
        return conv2d_weight_gradient(x, before, g, after, taps, pads)

    with on("conv2d_weight_gradient"):
        assert gradcheck(op, arguments, fast_mode=on.slow)
        assert gradgradcheck(op, arguments, fast_mode=on.slow)


@pytest.mark.parametrize("wanted", range(4))
def test_derivative_by_one_argument_alone(wanted):
    tensors = inputs([1] * 4, torch.float64, I=2, O=3, size=(3, 4))
    tensors[wanted].requires_grad_()

    def op(t):
        return conv2d_weight_gradient(*tensors[:wanted], t, *tensors[wanted + 1 :], TAPS, [1] * 4)

    assert gradcheck(op, tensors[wanted], fast_mode=True)


@pytest.mark.parametrize("adjoint", [False, True])
def test_is_what_scaled_conv2d_gives_its_weight(on, adjoint):
    x, before, g, after = inputs([1, 2, 0, 1], I=5, O=4)
    weight = torch.randn(*((5, 4) if adjoint else (4, 5)), *TAPS, requires_grad=True)
    with on("scaled_conv2d"), on("conv2d_weight_gradient"):
        y = scaled_conv2d(x, weight, before, after, [1, 2, 0, 1], adjoint)
        (mine,) = torch.autograd.grad(y, weight, g)
    wanted = expected(x, before, g, after, [1, 2, 0, 1]).float()
    wanted = wanted.transpose(0, 1).flip([2, 3]) if adjoint else wanted
    torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("create_graph", [False, True])
def test_modulated_conv2d_asks_the_chosen_kernel(on, create_graph, monkeypatch):
    x, weight, styles = torch.randn(2, 5, 4, 4), torch.randn(6, 5, 3, 3, requires_grad=True), torch.randn(2, 5)
    calls = []
    with on("modulated_conv2d"), on("conv2d_weight_gradient"):
        key = "conv2d_weight_gradient", on.backend
        run, objection = backend._kernels[key]
        monkeypatch.setitem(backend._kernels, key, (lambda *a: calls.append(1) or run(*a), objection))
        y = modulated_conv2d(x, weight, styles, padding=1)
        torch.autograd.grad(y.sum(), weight, create_graph=create_graph)
    assert calls == [1]


def test_fp64_on_a_gpu_is_left_to_the_reference(monkeypatch):
    monkeypatch.setattr(conv2d_triton, "device_objection", lambda x: None)
    monkeypatch.setattr(conv2d_triton, "interpreted", lambda: False)
    objection = backend._kernels["conv2d_weight_gradient", "triton"][1]
    x = torch.randn(1, 1, 2, 2)
    assert "no fp64" in objection(x.double(), None, x.double(), None)
    assert objection(x.half(), None, x.half(), None) is None
