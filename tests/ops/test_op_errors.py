from __future__ import annotations

import pytest
import torch

from smoothswap.core.errors import ArgumentError, BackendError, SmoothSwapError
from smoothswap.ops import bias_act, can_run, modulated_conv2d, supcon_loss, upfirdn2d, use

x, f = torch.randn(2, 3, 8, 8), torch.ones(4)
w, s = torch.randn(5, 3, 3, 3), torch.randn(2, 3)
z, labels = torch.randn(4, 2), torch.zeros(4, dtype=torch.long)
nan, meta = float("nan"), "meta"

# what is wrong, and words that the message must hold
CASES = {
    "rank of x": (lambda: upfirdn2d(x[0], f), ["x has 3 dimensions", "[B, C, H, W]", "[3, 8, 8]"]),
    "no tensor": (lambda: upfirdn2d([1], f), ["x is a list"]),
    "integers": (lambda: upfirdn2d(x.int(), f), ["torch.int32", "x.float()"]),
    "filter's rank": (lambda: upfirdn2d(x, f.reshape(1, 1, 4)), ["f has 3 dimensions", "[Kh, Kw]"]),
    "filter's device": (lambda: upfirdn2d(x, f.to(meta)), ["f is on meta", "cpu", "f.to(x.device)"]),
    "filter without taps": (lambda: upfirdn2d(x, f[:0]), ["no taps"]),
    "filter learns": (lambda: upfirdn2d(x, f.clone().requires_grad_()), ["requires grad", "f.detach()"]),
    "up 0": (lambda: upfirdn2d(x, f, up=0), ["up is 0"]),
    "down of three": (lambda: upfirdn2d(x, f, down=[1, 2, 3]), ["down is [1, 2, 3]"]),
    "padding of three": (lambda: upfirdn2d(x, f, padding=[1, 2, 3]), ["padding is [1, 2, 3]"]),
    "padding of fractions": (lambda: upfirdn2d(x, f, padding=[0.5, 1]), ["padding is [0.5, 1]"]),
    "gain": (lambda: upfirdn2d(x, f, gain=nan), ["gain is nan", "finite"]),
    "nothing left": (lambda: upfirdn2d(x, f, padding=-3), ["2 × 2 pixels", "4 × 4 taps"]),
    "unknown act": (lambda: bias_act(x, act="gelu"), ["'gelu'", "lrelu"]),
    "bias's rank": (lambda: bias_act(x, s), ["b has 2 dimensions", "[C]"]),
    "bias's length": (lambda: bias_act(x, torch.ones(4)), ["b has 4 channels", "expected 3"]),
    "bias's dtype": (lambda: bias_act(x, torch.ones(3).half()), ["torch.float16", "b.to(x.dtype)"]),
    "bias's device": (lambda: bias_act(x, torch.ones(3, device=meta)), ["b is on meta"]),
    "dim": (lambda: bias_act(x, torch.ones(3), dim=4), ["dim is 4", "4 dimensions"]),
    "act's gain": (lambda: bias_act(x, gain=float("inf")), ["gain is inf"]),
    "clamp": (lambda: bias_act(x, clamp=-0.5), ["clamp is -0.5"]),
    "weight's channels": (lambda: modulated_conv2d(x, w[:, :2], s), ["2 input channels", "expected 3"]),
    "weight's rank": (lambda: modulated_conv2d(x, w[0], s), ["weight has 3 dimensions", "[O, I, kh, kw]"]),
    "styles' shape": (lambda: modulated_conv2d(x, w, s[:1]), ["styles has shape [1, 3]", "expected [2, 3]"]),
    "styles' dtype": (lambda: modulated_conv2d(x, w, s.double()), ["styles has dtype torch.float64"]),
    "kernel too large": (lambda: modulated_conv2d(x[:, :, :2], w, s), ["nothing is left", "[2, 3, 2, 8]"]),
    "noise's shape": (lambda: modulated_conv2d(x, w, s, torch.ones(5, 5)), ["noise has shape [5, 5]", "[2, 5, 6, 6]"]),
    "convolution's bias": (lambda: modulated_conv2d(x, w, s, bias=torch.ones(3)), ["bias has shape [3]", "[5]"]),
    "its dtype": (lambda: modulated_conv2d(x, w, s, bias=torch.ones(5).double()), ["bias has dtype torch.float64"]),
    "its device": (lambda: modulated_conv2d(x, w, s, bias=torch.ones(5, device=meta)), ["bias is on meta"]),
    "its act": (lambda: modulated_conv2d(x, w, s, act="gelu"), ["modulated_conv2d: unknown act 'gelu'", "lrelu"]),
    "its gain": (lambda: modulated_conv2d(x, w, s, gain=nan), ["modulated_conv2d: gain is nan"]),
    "its clamp": (lambda: modulated_conv2d(x, w, s, clamp=-2), ["modulated_conv2d: clamp is -2"]),
    "up of zero": (lambda: modulated_conv2d(x, w, s, up=0), ["up is 0"]),
    "weight's dtype": (
        lambda: modulated_conv2d(x, w.half(), s),
        ["weight has dtype torch.float16", "weight.to(x.dtype)"],
    ),
    "weight's device": (lambda: modulated_conv2d(x, w.to(meta), s), ["weight is on meta", "[5, 3, 3, 3]", "cpu"]),
    "styles' device": (lambda: modulated_conv2d(x, w, s.to(meta)), ["styles is on meta", "[2, 3]"]),
    "noise's device": (lambda: modulated_conv2d(x, w, s, torch.ones((), device=meta)), ["noise is on meta"]),
    "noise's dtype": (lambda: modulated_conv2d(x, w, s, torch.ones(()).half()), ["noise has dtype torch.float16"]),
    "resampling filter's device": (
        lambda: modulated_conv2d(x, w, s, up=2, resample_filter=f.to(meta)),
        ["resample_filter is on meta", "[4]", "resample_filter.to(x.device)"],
    ),
    "resampling filter's rank": (
        lambda: modulated_conv2d(x, w, s, up=2, resample_filter=f.reshape(1, 1, 4)),
        ["resample_filter has 3 dimensions", "[Kh, Kw]"],
    ),
    "convolution's gain": (lambda: modulated_conv2d(x, w, s, gain=nan), ["gain is nan", "finite"]),
    "convolution crops all": (lambda: modulated_conv2d(x, w, s, padding=-4), ["nothing is left", "padding [-4"]),
    "labels' device": (lambda: supcon_loss(z, labels.to(meta)), ["labels is on meta", "[4]"]),
    "z is no float": (lambda: supcon_loss(labels[:, None], labels), ["z has dtype torch.int64"]),
    "length of labels": (lambda: supcon_loss(z, labels[:3]), ["labels has shape [3]", "expected [4]"]),
    "labels' dtype": (lambda: supcon_loss(z, labels.float()), ["torch.float32", "integers"]),
    "rank of z": (lambda: supcon_loss(z[0], labels), ["z has 1 dimensions", "[N, D] or [N, V, D]"]),
    "temperature": (lambda: supcon_loss(z, labels, 0.0), ["temperature is 0.0", "more than 0"]),
    "reduction": (lambda: supcon_loss(z, labels, reduction="avg"), ["'avg'", "mean, sum or none"]),
}


CALLS = {
    "upfirdn2d": lambda: upfirdn2d(x, f),
    "bias_act": lambda: bias_act(x, act="lrelu"),
    "modulated_conv2d": lambda: modulated_conv2d(x, w, s),
    "supcon_lse": lambda: supcon_loss(z, labels),
}


@pytest.mark.parametrize("op", CALLS)
def test_a_backend_that_cannot_run_says_why_and_never_falls_back(op):
    reason = can_run(op, "cuda", x)
    assert reason
    with use("cuda"), pytest.raises(BackendError) as caught:
        CALLS[op]()
    assert f"{op} cannot run on the cuda backend" in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_the_error_names_the_argument_and_what_is_expected(case):
    call, words = CASES[case]
    with pytest.raises(ArgumentError) as caught:
        call()
    assert isinstance(caught.value, SmoothSwapError)
    for word in words:
        assert word in str(caught.value)
