"""The modules of StyleGAN's names: same results as the ops, and conv2d_resample against its three steps."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from smoothswap import ops
from smoothswap.core.errors import ArgumentError
from smoothswap.ops.stylegan import bias_act, conv2d_gradfix, conv2d_resample, fma, upfirdn2d

FIR = torch.tensor([[1.0, 2.0, 1.0, 0.5], [0.0, 1.0, -1.0, 2.0]])
# up, down, padding, kernel
STEPS = {
    "same": (1, 1, 1, 3),
    "up": (2, 1, 1, 3),
    "up, kernel of one": (2, 1, 0, 1),
    "down": (1, 2, [1, 0, 2, 1], 3),
    "down, kernel of one": (1, 2, 0, 1),
    "both": (2, 3, 1, 3),
}


@pytest.mark.parametrize("flip_filter", [False, True])
@pytest.mark.parametrize("flip_weight", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("steps", STEPS)
def test_convolution_is_fir_then_convolution_then_fir(steps, groups, flip_weight, flip_filter):
    up, down, padding, k = STEPS[steps]
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    w = torch.randn(6, 4 // groups, k, k, dtype=torch.float64)
    y = conv2d_resample.conv2d_resample(x, w, FIR, up, down, padding, groups, flip_weight, flip_filter)
    pads = [padding] * 4 if isinstance(padding, int) else padding
    kh, kw = FIR.shape
    if up > 1:
        pads = [p + q for p, q in zip(pads, [(kw + 1) // 2, (kw - 2) // 2, (kh + 1) // 2, (kh - 2) // 2], strict=True)]
    if down > 1:
        more = [(kw - down + 1) // 2, (kw - down) // 2, (kh - down + 1) // 2, (kh - down) // 2]
        pads = [p + q for p, q in zip(pads, more, strict=True)]
    big = ops.upfirdn2d(x, FIR if up > 1 else None, up=up, padding=pads, flip_filter=flip_filter, gain=up**2)
    plain = F.conv2d(big, w if flip_weight else w.flip([2, 3]), groups=groups)
    expected = ops.upfirdn2d(plain, FIR if down > 1 else None, down=down, flip_filter=flip_filter)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("steps", ["up", "down"])
def test_convolution_is_twice_differentiable(steps):
    up, down, padding, k = STEPS[steps]
    x = torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(2, 2, k, k, dtype=torch.float64, requires_grad=True)

    def op(x, w):
        return conv2d_resample.conv2d_resample(x, w, FIR, up, down, padding, groups=2)

    assert gradcheck(op, (x, w))
    assert gradgradcheck(op, (x, w))


def test_images_and_activations_are_those_of_the_ops():
    x, f = torch.randn(2, 3, 8, 8), upfirdn2d.setup_filter([1, 3, 3, 1])
    for impl in ("cuda", "ref"):
        for name in ("upfirdn2d", "filter2d", "upsample2d", "downsample2d"):
            ours = getattr(upfirdn2d, name)(x, f, padding=1, gain=2, impl=impl)
            torch.testing.assert_close(ours, getattr(ops, name)(x, f, padding=1, gain=2))
        activated = bias_act.bias_act(x, torch.ones(3), act="lrelu", clamp=0.5, impl=impl)
        torch.testing.assert_close(activated, ops.bias_act(x, torch.ones(3), act="lrelu", clamp=0.5))
    with pytest.raises(ArgumentError, match="impl is 'gpu'"):
        bias_act.bias_act(x, impl="gpu")


@pytest.mark.parametrize("name", ["upfirdn2d", "filter2d", "upsample2d", "downsample2d"])
def test_signatures_are_those_of_the_ops_with_impl_behind(name):
    theirs = inspect.signature(getattr(upfirdn2d, name)).parameters
    ours = inspect.signature(getattr(ops, name)).parameters
    assert list(theirs) == [*ours, "impl"]
    assert all(theirs[key].default == ours[key].default for key in ours)


def test_gains_that_networks_read():
    table = bias_act.activation_funcs
    assert table["linear"].def_gain == 1
    assert table["lrelu"].def_gain == table["relu"].def_gain == table["swish"].def_gain == pytest.approx(2**0.5)
    assert table["lrelu"].def_alpha == 0.2
    assert table["lrelu"].func(torch.tensor([-1.0, 1.0]), 0.5).tolist() == [-0.5, 1.0]


def test_what_newer_pytorch_made_superfluous():
    x, w = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    torch.testing.assert_close(conv2d_gradfix.conv2d(x, w, padding=1), F.conv2d(x, w, padding=1))
    with conv2d_gradfix.no_weight_gradients():
        pass
    assert fma.fma(torch.tensor(2.0), torch.tensor(3.0), torch.tensor(4.0)) == 10


def test_bad_input_of_the_convolution():
    x, w = torch.randn(2, 4, 8, 8), torch.randn(6, 4, 3, 3)
    call = conv2d_resample.conv2d_resample
    with pytest.raises(ArgumentError, match="4 channels in each of 2 groups, expected 4 together"):
        call(x, w, groups=2)
    with pytest.raises(ArgumentError, match=r"nothing is left of x"):
        call(x[:, :, :1], w)
    with pytest.raises(ArgumentError, match="w has dtype torch.float64"):
        call(x, w.double())
    with pytest.raises(ArgumentError, match="f is on meta"):
        call(x, w, torch.ones(4, device="meta"), up=2)
