from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops import naive
from rounding import rms_error
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import can_run, upfirdn2d, use

F4 = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
LOPSIDED = torch.tensor([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])

# name: f, up, down, padding
MODES = {
    "down2": (torch.outer(F4, F4), 1, 2, 1),
    "up2": (torch.outer(F4, F4), 2, 1, [2, 1, 2, 1]),
    "filter": (torch.outer(F4, F4), 1, 1, [2, 1, 2, 1]),
    "separable": (torch.tensor([1.0, 2.0, -1.0]), 2, 3, [2, 0, 1, 3]),
    "lopsided": (LOPSIDED, [2, 3], [3, 2], [-1, 4, 3, -2]),
    "identity": (None, 2, 1, [1, -1, 0, 2]),
}


def mode_of(name, on):
    f, *others = MODES[name]
    return (None if f is None else f.to(on.device), *others)


def test_a_row_computed_by_hand(on):
    x = torch.tensor([[[[1.0, 2.0]]]])
    f = torch.tensor([[1.0, 10.0]])
    with on("upfirdn2d"):
        # zero-stuffed and padded: 0 1 0 2 0 0; convolution pairs (left·10 + right·1)
        y = upfirdn2d(x, f, up=[2, 1], padding=[1, 1, 0, 0])
        assert y.tolist() == [[[[1.0, 10.0, 2.0, 20.0, 0.0]]]]
        y = upfirdn2d(x, f, up=[2, 1], padding=[1, 1, 0, 0], flip_filter=True, down=[2, 1], gain=3)
        assert y.tolist() == [[[[30.0, 60.0, 0.0]]]]


def test_negative_padding_crops(on):
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    with on("upfirdn2d"):
        assert upfirdn2d(x, None, padding=[-1, -2, -1, 0]).tolist() == [[[[5.0], [9.0]]]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_equals_the_equation(backend, data):
    if reason := can_run("upfirdn2d", backend):
        pytest.skip(reason)
    size, factor, pad = st.integers(1, 7), st.integers(1, 4), st.integers(-2, 5)
    height, width = data.draw(size), data.draw(size)
    up, down = (data.draw(factor), data.draw(factor)), (data.draw(factor), data.draw(factor))
    padding = tuple(data.draw(pad) for _ in range(4))
    taps = data.draw(st.sampled_from(["none", "1d", "2d", "rank one"]))
    a, b = torch.randn(data.draw(st.integers(1, 5))), torch.randn(data.draw(st.integers(1, 5)))
    f = {"none": None, "1d": a, "2d": torch.randn(len(a), len(b)), "rank one": torch.outer(a, b)}[taps]
    kh, kw = (1, 1) if f is None else (f.shape[0], f.shape[-1])
    if height * up[1] + padding[2] + padding[3] < kh or width * up[0] + padding[0] + padding[1] < kw:
        return
    flip, gain = data.draw(st.booleans()), data.draw(st.sampled_from([1.0, -0.5, 4.0]))
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected = naive.upfirdn(x, f, up, down, padding, flip, gain)
    with use(backend):
        torch.testing.assert_close(upfirdn2d(x, f, up, down, padding, flip, gain), expected)
        channels_last = x.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(upfirdn2d(channels_last, f, up, down, padding, flip, gain), expected)


@pytest.mark.parametrize("mode", MODES)
def test_first_and_second_derivative(on, mode):
    f, up, down, padding = mode_of(mode, on)
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)

    def op(x):
        return upfirdn2d(x, f, up, down, padding, gain=1.5)

    with on("upfirdn2d"):
        assert gradcheck(op, x, fast_mode=on.slow)
        assert gradgradcheck(op, x, fast_mode=on.slow)


@pytest.mark.parametrize("mode", MODES)
def test_backward_is_the_adjoint(on, mode):
    f, up, down, padding = mode_of(mode, on)
    x = torch.randn(2, 3, 9, 11, dtype=torch.float64, requires_grad=True)
    with on("upfirdn2d"):
        y = upfirdn2d(x, f, up, down, padding)
        g = torch.randn_like(y)
        (back,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close((y * g).sum(), (x * back).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", MODES)
def test_error_is_at_most_twice_that_of_rounding(on, mode, dtype):
    f, up, down, padding = mode_of(mode, on)
    x = torch.randn(2, 3, 8, 9).to(dtype)
    with on("upfirdn2d"):
        y = upfirdn2d(x, f, up, down, padding)
    assert y.dtype == dtype
    with use("reference"):
        exact = upfirdn2d(x.double(), f, up, down, padding)
        # PyTorch's own in fp32, rounded to the dtype
        own = upfirdn2d(x.float(), f, up, down, padding).to(dtype)
    assert rms_error(y, exact) <= 2 * rms_error(own, exact) + 1e-8


@pytest.mark.parametrize("mode", MODES)
def test_layouts(on, mode):
    f, up, down, padding = mode_of(mode, on)
    x = torch.randn(2, 3, 8, 10)
    with on("upfirdn2d"):
        y = upfirdn2d(x, f, up, down, padding)
        assert y.is_contiguous()
        last = upfirdn2d(x.contiguous(memory_format=torch.channels_last), f, up, down, padding)
        strided = upfirdn2d(torch.randn(2, 3, 10, 16).copy_(0)[:, :, 1:9, 3:13].copy_(x), f, up, down, padding)
        flipped = upfirdn2d(x.transpose(2, 3).contiguous().transpose(2, 3), f, up, down, padding)
    assert last.is_contiguous(memory_format=torch.channels_last)
    for other in (last, strided, flipped):
        torch.testing.assert_close(other, y)


def test_empty_batch(on):
    x = torch.randn(0, 3, 8, 8, requires_grad=True)
    with on("upfirdn2d"):
        y = upfirdn2d(x, F4.to(on.device), up=2, padding=[2, 1, 2, 1])
        assert y.shape == (0, 3, 16, 16)
        y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


def test_result_never_shares_memory_with_the_input(on):
    x = torch.randn(1, 1, 3, 3)
    with on("upfirdn2d"):
        y = upfirdn2d(x, None)
    torch.testing.assert_close(y, x)
    y.zero_()
    assert x.abs().sum() > 0


def test_autocast_leaves_the_dtype_alone(on):
    x = torch.randn(1, 2, 8, 8)
    f = F4.to(on.device)
    with on("upfirdn2d"), torch.autocast(on.device.type, torch.bfloat16):
        y = upfirdn2d(x, f, padding=1)
    with use("reference"):
        torch.testing.assert_close(y, upfirdn2d(x, f, padding=1))
