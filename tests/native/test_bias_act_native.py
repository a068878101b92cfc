"""bias_act in C++: sizes around the vectors' edges, special values, errors against fp64, threads."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from smoothswap.ops import bias_act, use
from smoothswap.ops.bias_act import ACTIVATIONS
from smoothswap.ops.native import missing

STOCK = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "elu": F.elu, "selu": F.selu, "softplus": F.softplus}
STOCK["swish"] = F.silu


@pytest.fixture(autouse=True)
def _built() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.mark.parametrize("act", STOCK)
def test_error_is_at_most_twice_pytorchs(act):
    for x in (torch.linspace(-80, 80, 40001), torch.randn(20000) * 2, torch.logspace(-30, 1, 10000).neg()):
        exact = STOCK[act](x.double())
        if act == "softplus":  # PyTorch's is x above 20
            exact = torch.nn.functional.softplus(x.double(), threshold=700)
        own = (STOCK[act](x).double() - exact).abs()
        with use("cpu"):
            ours = (bias_act(x, dim=0, act=act, gain=1).double() - exact).abs()
        ulp = exact.abs().clamp(min=1e-37) * 2**-23
        assert ours.max() <= 2 * own.max() + 1e-38
        assert (ours / ulp).max() <= max(3.0, 2 * float((own / ulp).max()))


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_special_values(act):
    x = torch.tensor([math.nan, math.inf, -math.inf, 0.0, 1e-40, -1e-40, 1e38, -1e38, -90.0, -103.0])
    low = {"linear": -math.inf, "lrelu": -math.inf, "tanh": -1, "elu": -1, "selu": -1.7580993408473766}.get(act, 0)
    high = {"tanh": 1, "sigmoid": 1}.get(act, math.inf)
    with use("cpu"):
        y = bias_act(x, dim=0, act=act, gain=1)
    assert y[0].isnan()
    torch.testing.assert_close(y[1:3], torch.tensor([high, low], dtype=torch.float32))
    if act in STOCK:
        exact = STOCK[act](x[3:].double())
        torch.testing.assert_close(y[3:].double(), exact, rtol=4e-7, atol=1e-43)


@pytest.mark.parametrize("act", ["lrelu", "swish", "tanh"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_length_around_a_vector(act, dtype):
    for n in (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 1023, 1024, 1025, 16385):
        x, g = torch.randn(2, 3, n).to(dtype), torch.randn(2, 3, n).to(dtype)
        results = []
        for name in ("reference", "cpu"):
            a, b = x.clone().requires_grad_(), torch.tensor([0.5, -0.5, 0.25], dtype=dtype, requires_grad=True)
            with use(name):
                y = bias_act(a, b, act=act, clamp=1.5)
                results.append((y, *torch.autograd.grad(y, (a, b), g)))
        rough = dtype in (torch.bfloat16, torch.float16)
        for want, got in zip(*results, strict=True):
            close = {"rtol": 2e-2, "atol": 2e-2} if rough else {"rtol": 1e-5, "atol": 1e-4}  # sums of 32770 values
            torch.testing.assert_close(got, want, **close)


@pytest.mark.parametrize("shape", [(8, 64, 32, 32), (300, 512), (3, 40000), (2, 3, 256, 256)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
def test_the_bias_gradient_does_not_depend_on_the_number_of_threads(shape, layout):
    x, g = torch.randn(shape), torch.randn(shape)
    if x.ndim == 4:
        x, g = x.contiguous(memory_format=layout), g.contiguous(memory_format=layout)
    x, b = x.requires_grad_(), torch.randn(shape[1]).requires_grad_()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            with use("cpu"):
                results.append(torch.autograd.grad(bias_act(x, b, act="swish"), (x, b), g))
        finally:
            torch.set_num_threads(1)
    for dx, db in results[1:]:
        assert torch.equal(dx, results[0][0])
        assert torch.equal(db, results[0][1])


def test_the_sum_of_a_long_bias_gradient_is_accurate():
    g = torch.randn(131072, 3) + 1
    b = torch.zeros(3, requires_grad=True)
    with use("cpu"):
        (db,) = torch.autograd.grad(bias_act(torch.ones(131072, 3), b, act="relu", gain=1), b, g)
    torch.testing.assert_close(db.double(), g.double().sum(0), rtol=2e-7, atol=0)
