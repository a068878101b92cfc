from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from ops import naive
from rounding import rms_error
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import downsample2d, modulated_conv2d, no_weight_gradients, setup_filter, upfirdn2d, upsample2d

FIR = setup_filter([1, 3, 3, 1])
LOPSIDED = torch.tensor([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])

# name: kernel, up, down, padding
MODES = {
    "same": (3, 1, 1, 1),
    "uneven padding": (2, 1, 1, [1, 0, 0, 2]),
    "crop": (3, 1, 1, [-1, 2, 1, 1]),
    "up": (3, 2, 1, 1),
    "up 1x1": (1, 2, 1, 0),
    "down": (3, 1, 2, 1),
    "down 1x1": (1, 1, 2, 0),
    "both": (3, 2, 3, 1),
}


def inputs(kernel: int, dtype: torch.dtype = torch.float64, size: tuple[int, int] = (5, 4)):
    x = torch.randn(2, 3, *size, dtype=dtype, requires_grad=True)
    weight = torch.randn(2, 3, kernel, kernel, dtype=dtype, requires_grad=True)
    styles = torch.randn(2, 3, dtype=dtype, requires_grad=True)
    return x, weight, styles


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("flip_weight", [True, False])
def test_equals_weights_built_per_sample(demodulate, flip_weight):
    x, weight, styles = inputs(3)
    y = modulated_conv2d(x, weight, styles, padding=1, demodulate=demodulate, flip_weight=flip_weight)
    expected = naive.modulated(F.pad(x, [1] * 4), weight, styles, demodulate, flip_weight)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("f", [FIR, LOPSIDED, None], ids=["fir", "lopsided", "none"])
@pytest.mark.parametrize("mode", MODES)
def test_resampling_is_fir_then_convolution_then_fir(mode, f):
    kernel, up, down, padding = MODES[mode]
    x, weight, styles = inputs(kernel, size=(8, 9))
    y = modulated_conv2d(x, weight, styles, None, up, down, padding, f)
    # By the definition, each step at its own resolution; the upsampled picture is padded as for a same-size result.
    kh, kw = (1, 1) if f is None else f.shape
    pads = [padding] * 4 if isinstance(padding, int) else list(padding)
    around = [0] * 4
    if up > 1:
        around = [(kw + up - 1) // 2, (kw - up) // 2, (kh + up - 1) // 2, (kh - up) // 2]
    if down > 1:
        extra = [(kw - down + 1) // 2, (kw - down) // 2, (kh - down + 1) // 2, (kh - down) // 2]
        around = [a + b for a, b in zip(around, extra, strict=True)]
    pads = [a + b for a, b in zip(pads, around, strict=True)]
    big = upfirdn2d(x, f if up > 1 else None, up=up, padding=pads, gain=up**2)
    plain = naive.modulated(big, weight, styles, demodulate=True, flip_weight=True)
    expected = upfirdn2d(plain, f if down > 1 else None, down=down)
    torch.testing.assert_close(y, expected)


def test_point_convolution_with_resampling_is_the_named_functions():
    x, weight, styles = inputs(1, size=(8, 8))
    plain = modulated_conv2d(x, weight, styles)
    torch.testing.assert_close(modulated_conv2d(x, weight, styles, up=2, resample_filter=FIR), upsample2d(plain, FIR))
    torch.testing.assert_close(
        modulated_conv2d(x, weight, styles, down=2, resample_filter=FIR), downsample2d(plain, FIR)
    )


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_first_and_second_derivative(mode, demodulate):
    kernel, up, down, padding = MODES[mode]
    x, weight, styles = inputs(kernel, size=(4, 3))
    noise = torch.randn(2, 1, 1, 1, dtype=torch.float64, requires_grad=True)

    def op(x, weight, styles, noise):
        return modulated_conv2d(x, weight, styles, noise, up, down, padding, FIR, demodulate, flip_weight=mode != "up")

    assert gradcheck(op, (x, weight, styles, noise), fast_mode=True)
    assert gradgradcheck(op, (x, weight, styles, noise), fast_mode=True)


def test_first_derivative_entry_by_entry():
    arguments = inputs(3, size=(3, 3))

    def op(x, weight, styles):
        return modulated_conv2d(x, weight, styles, None, 1, 2, 1, FIR)

    assert gradcheck(op, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_error_in_low_precision(dtype):
    x, weight, styles = (t.detach().to(dtype) for t in inputs(3, size=(8, 8)))
    exact = modulated_conv2d(x.double(), weight.double(), styles.double(), padding=1)
    w = weight[None] * styles[:, None, :, None, None]
    w = w * w.float().square().sum([2, 3, 4], keepdim=True).rsqrt().to(dtype)
    own = torch.cat([F.conv2d(x[n : n + 1], w[n], padding=1) for n in range(2)])
    y = modulated_conv2d(x, weight, styles, padding=1)
    assert y.dtype == dtype
    assert rms_error(y, exact) <= 2 * rms_error(own, exact)


def test_gradients_in_low_precision_keep_their_dtype():
    arguments = inputs(3, dtype=torch.bfloat16)
    for argument, grad in zip(
        arguments, torch.autograd.grad(modulated_conv2d(*arguments, padding=1).float().sum(), arguments), strict=True
    ):
        assert grad.dtype == torch.bfloat16
        assert grad.shape == argument.shape


def test_layouts_noise_and_empty_batch():
    x, weight, styles = (t.detach() for t in inputs(3, dtype=torch.float32, size=(6, 7)))
    y = modulated_conv2d(x, weight, styles, padding=1)
    assert y.is_contiguous()
    last = modulated_conv2d(x.contiguous(memory_format=torch.channels_last), weight, styles, padding=1)
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, y)
    for shape in ([], [6, 7], [2, 1, 6, 7], [1, 2, 1, 1]):
        noise = torch.randn(shape)
        torch.testing.assert_close(modulated_conv2d(x, weight, styles, noise, padding=1), y + noise)
    assert modulated_conv2d(x[:0], weight, styles[:0], up=2, padding=1, resample_filter=FIR).shape == (0, 2, 12, 14)


def test_scale_of_the_style_drops_out_when_demodulated():
    x, weight, styles = inputs(3)
    y = modulated_conv2d(x, weight, styles, padding=1)
    torch.testing.assert_close(modulated_conv2d(x, weight, styles * 100, padding=1), y, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(modulated_conv2d(x, weight, styles, padding=1, fused_modconv=False), y)


def test_autocast_takes_mixed_dtypes():
    x, weight, styles = inputs(3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert modulated_conv2d(x, weight, styles, padding=1).dtype == torch.bfloat16


def test_no_weight_gradients_spares_the_weight_but_not_its_second_derivative():
    x, weight, styles = inputs(3)
    y = modulated_conv2d(x, weight, styles, padding=1)
    with no_weight_gradients():
        dx, dw = torch.autograd.grad(y.sum(), (x, weight), create_graph=True, allow_unused=True)
    assert dw is None
    (second,) = torch.autograd.grad(dx.square().sum(), weight)
    assert second.abs().max() > 0
