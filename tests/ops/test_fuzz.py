"""Random arguments of the image ops on every backend, against their equations in fp64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from ops import naive

from smoothswap.core.errors import BackendError
from smoothswap.ops import bias_act, can_run, modulated_conv2d, upfirdn2d, use
from smoothswap.ops.bias_act import ACTIVATIONS

FUZZ = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])
LAYOUTS = st.sampled_from(["contiguous", "channels_last", "strided", "transposed"])
# Half a unit in the last place, relative, and what a sum of some dozen terms in fp32 loses beside it.
ROUNDING = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}


def laid_out(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values [B, C, H, W] in another order of memory."""
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "strided":  # a window of something larger, every second column of it
        B, C, H, W = x.shape
        return x.new_full((B, C + 1, H + 2, 2 * W + 1), torch.nan)[:, 1:, 1 : H + 1, 1::2].copy_(x)
    return x.transpose(0, 3).contiguous().transpose(0, 3) if layout == "transposed" else x


def resampled(x, f, up, down, padding, flip, gain):
    """upfirdn2d as a sum over windows of the zero-stuffed, padded image; x [B, C, H, W] fp64."""
    B, C, H, W = x.shape
    taps = torch.ones(1, 1).double() if f is None else f.double()
    taps = torch.outer(taps, taps) if taps.ndim == 1 else taps
    taps = taps if flip else taps.flip([0, 1])
    around = [max(n, 0) for n in padding]
    v = x.new_zeros(B, C, H * up[1] + around[2] + around[3], W * up[0] + around[0] + around[1])
    v[:, :, around[2] : around[2] + H * up[1] : up[1], around[0] : around[0] + W * up[0] : up[0]] = x
    left, right, top, bottom = (max(-n, 0) for n in padding)
    v = v[:, :, top : v.shape[2] - bottom, left : v.shape[3] - right]
    windows = v.unfold(2, taps.shape[0], down[1]).unfold(3, taps.shape[1], down[0])
    return gain * (windows * taps).sum([4, 5])


def near(y: torch.Tensor, exact: torch.Tensor, terms: torch.Tensor) -> None:
    """y within rounding of the result, and of a sum whose terms have the magnitudes that `terms` adds up to."""
    assert y.shape == exact.shape
    assert y.is_contiguous() or y.is_contiguous(memory_format=torch.channels_last)
    inner = 1e-13 if y.dtype == torch.float64 else 2e-6
    smallest = torch.finfo(y.dtype).smallest_normal
    limit = ROUNDING[y.dtype] * 1.01 * exact.abs() + inner * terms + smallest
    assert ((y.double() - exact).abs() <= limit).all()


@FUZZ
@given(data=st.data())
def test_upfirdn2d(on, data):
    draw = data.draw
    up, down = ((draw(st.integers(1, 4)), draw(st.integers(1, 4))) for _ in range(2))
    padding = tuple(draw(st.integers(-3, 5)) for _ in range(4))
    height, width, channels = draw(st.integers(1, 9)), draw(st.integers(1, 18)), draw(st.integers(1, 5))
    taps_h, taps_w, rank = draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.sampled_from([0, 1, 2, 2]))
    dtype, layout = draw(DTYPES), draw(LAYOUTS)
    flip, gain = draw(st.booleans()), draw(st.sampled_from([1.0, -0.5, 4.0]))
    f = None if rank == 0 else torch.randn([taps_h, taps_w][2 - rank :])
    kh, kw = (1, 1) if f is None else (f.shape[0], f.shape[-1])
    assume(height * up[1] + padding[2] + padding[3] >= kh)
    assume(width * up[0] + padding[0] + padding[1] >= kw)
    x = laid_out(torch.randn(2, channels, height, width).to(dtype), layout)
    arguments = (up, down, padding, flip)
    exact = resampled(x.double(), f, *arguments, gain)
    terms = resampled(x.double().abs(), None if f is None else f.abs(), *arguments, abs(gain))
    with on("upfirdn2d"):
        near(upfirdn2d(x, f, *arguments, gain), exact, terms)


@FUZZ
@given(data=st.data())
def test_bias_act(on, data):
    draw = data.draw
    served = [act for act in sorted(ACTIVATIONS) if can_run("bias_act", on.backend, act=act) is None]
    act, dtype, layout = draw(st.sampled_from(served or ["linear"])), draw(DTYPES), draw(LAYOUTS)
    shape = [draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 17))]
    dim = draw(st.integers(-4, 3))
    options = {
        "act": act,
        "alpha": draw(st.sampled_from([None, 0.0, 0.1, 1.5, -0.3])),
        "gain": draw(st.sampled_from([None, 0.0, 1.0, -1.3])),
        "clamp": draw(st.sampled_from([None, 0.0, 0.7, 256.0])),
    }
    x = laid_out(torch.randn(shape).mul(3).to(dtype), layout)
    b = torch.randn(shape[dim]).to(dtype) if draw(st.booleans()) else None
    with use("reference"):
        exact = bias_act(x.double(), None if b is None else b.double(), dim, **options)
    with on("bias_act", act=act):
        y = bias_act(x, b, dim, **options)
    near(y, exact, exact.abs() + x.double().abs() + 3)
    x = x.detach().requires_grad_()
    g = torch.randn_like(y)
    with use("reference"):
        wide = x.detach().double().requires_grad_()
        (slope,) = torch.autograd.grad(
            bias_act(wide, None if b is None else b.double(), dim, **options), wide, g.double()
        )
    # A gain of 0 or a folding lrelu leaves nothing of x in y: the gradient then comes from x, which not all take.
    from_output = act != "swish" and options["gain"] != 0 and (options["alpha"] or 0) >= 0
    if can_run("bias_act_grad", on.backend, act=act, from_output=from_output) is None:
        with on("bias_act", act=act):
            (dx,) = torch.autograd.grad(bias_act(x, b, dim, **options), x, g)
        # φ' from a rounded y: at the limit of the clamp, or near 0, a rounding may turn it over.
        odd = ((dx.double() - slope).abs() > 0.02 * slope.abs() + 0.02 * g.double().abs()).double().mean()
        assert odd <= (0.02 if dtype in (torch.float32, torch.float64) else 0.1)


@FUZZ
@given(data=st.data())
def test_modulated_conv2d(on, data):
    if on.slow:
        pytest.skip("interpreted: fewer examples below")
    modulated(on, data.draw)


@settings(FUZZ, max_examples=6)
@given(data=st.data())
def test_modulated_conv2d_interpreted(on, data):
    if not on.slow:
        pytest.skip("more examples above")
    modulated(on, data.draw)


def modulated(on, draw):
    kernel, act = draw(st.sampled_from([1, 2, 3, 4, 5])), draw(st.sampled_from(["linear", "relu", "lrelu", "tanh"]))
    up, down = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2)]))
    padding = draw(st.one_of(st.integers(0, 3), st.tuples(*[st.integers(-1, 3)] * 4)))
    N, I, O = (draw(st.integers(1, most)) for most in ((2, 4, 4) if on.slow else (3, 9, 17)))
    H, W = draw(st.integers(kernel + 2, 13)), draw(st.integers(kernel + 2, 13))
    dtype, layout = draw(DTYPES), draw(st.sampled_from(["contiguous", "channels_last", "strided"]))
    demodulate, flip = draw(st.booleans()), draw(st.booleans())
    x = laid_out(torch.randn(N, I, H, W).to(dtype), layout)
    weight, styles = torch.randn(O, I, kernel, kernel).to(dtype), (torch.rand(N, I) + 0.5).to(dtype)
    f = torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 32 if up * down > 1 else None

    def op(x, weight, styles, noise, bias):
        return modulated_conv2d(
            x, weight, styles, noise, up, down, padding, f, demodulate, flip, bias=bias, act=act, clamp=2.0
        )

    with use("reference"):
        plain = op(x.double(), weight.double(), styles.double(), None, None)
        noise = draw(st.sampled_from([None, torch.randn(N, 1, *plain.shape[2:]), torch.randn([])]))
        bias = draw(st.sampled_from([None, torch.randn(O)]))
        others = [None if t is None else t.to(dtype) for t in (noise, bias)]
        exact = op(*(None if t is None else t.double() for t in (x, weight, styles, *others)))
    with on("modulated_conv2d"):
        try:
            y = op(x, weight, styles, *others)
        except BackendError:
            reject()  # a kernel for some cases only
    assert y.shape == exact.shape
    # The sum over I·k² products, and in Winograd's tiles over sums of them, against results of order one.
    scale = 1 if demodulate else (I * kernel**2) ** 0.5
    limit = {torch.float64: 1e-11, torch.float32: 3e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}[dtype]
    assert (y.double() - exact).abs().max() <= limit * scale * 3


def test_the_tolerance_would_see_one_wrong_tap():
    x, f = torch.randn(1, 1, 8, 8), torch.randn(3, 3)
    exact = naive.upfirdn(x.double(), f)
    f[0, 0] *= 1.01
    with pytest.raises(AssertionError):
        near(naive.upfirdn(x.double(), f).float(), exact, exact.abs())
