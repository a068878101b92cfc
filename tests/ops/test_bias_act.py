from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from rounding import rms_error
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import bias_act, no_weight_gradients, use
from smoothswap.ops.bias_act import ACTIVATIONS

OWN = {
    "linear": lambda x: x,
    "relu": F.relu,
    "lrelu": lambda x: F.leaky_relu(x, 0.2),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "swish": F.silu,
}


def test_by_hand(on):
    x = torch.tensor([[-3.0, 1.0]])
    b = torch.tensor([1.0, 2.0])
    with on("bias_act"):
        y = bias_act(x, b, act="lrelu")
        torch.testing.assert_close(y, torch.tensor([[-0.4 * math.sqrt(2), 3 * math.sqrt(2)]]))
        y = bias_act(x, b, act="lrelu", alpha=0.5, gain=2, clamp=1.5)
        assert y.tolist() == [[-1.5, 1.5]]
        assert bias_act(x).tolist() == x.tolist()


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_values_in_every_dtype(on, act, dtype):
    x, b = torch.randn(2, 3, 5, 7).to(dtype), torch.randn(3).to(dtype)
    gain = math.sqrt(2) if act in ("relu", "lrelu", "swish") else 1.0
    exact = OWN[act](x.double() + b.double().reshape(3, 1, 1)) * gain
    own = OWN[act](x + b.reshape(3, 1, 1)) * gain
    with on("bias_act", act=act):
        y = bias_act(x, b, act=act)
    assert y.dtype == dtype
    # In fp64 the exact values are rounded too; PyTorch's own may then be those very values.
    assert rms_error(y, exact) <= 2 * rms_error(own, exact) + torch.finfo(torch.float64).eps * exact.abs().max()


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("options", [{}, {"gain": -1.3, "clamp": 0.7}, {"gain": 0.0}], ids=str)
def test_first_and_second_derivative(on, act, options):
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def op(x, b):
        return bias_act(x, b, act=act, **options)

    with on("bias_act", act=act), on("bias_act_grad", act=act, from_output=options.get("gain") != 0):
        assert gradcheck(op, (x, b), fast_mode=on.slow)
        assert gradgradcheck(op, (x, b), fast_mode=on.slow)


def test_negative_slope_of_lrelu_keeps_its_derivative(on):
    x = torch.tensor([-2.0, 3.0], requires_grad=True)
    with on("bias_act"), on("bias_act_grad", from_output=False):
        (g,) = torch.autograd.grad(bias_act(x, dim=0, act="lrelu", alpha=-0.5, gain=1).sum(), x)
    assert g.tolist() == [-0.5, 1.0]


def test_dimensions_and_layouts(on):
    x = torch.randn(2, 3, 4, 5)
    with on("bias_act"):
        for dim in (0, 1, 2, 3, -1):
            b = torch.randn(x.shape[dim])
            along = b.reshape([-1 if i == dim % 4 else 1 for i in range(4)])
            torch.testing.assert_close(bias_act(x, b, dim=dim, act="relu", gain=1), torch.relu(x + along))
            last = x.contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(bias_act(last, b, dim=dim, act="relu", gain=1), torch.relu(x + along))
        b = torch.randn(3)
        y = bias_act(x, b, act="lrelu")
        assert y.is_contiguous()
        last = bias_act(x.contiguous(memory_format=torch.channels_last), b, act="lrelu")
        assert last.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(last, y)
        torch.testing.assert_close(bias_act(x[:, :, ::2, 1:], b, act="lrelu"), y[:, :, ::2, 1:])
        assert bias_act(torch.randn(4, 6), torch.randn(6), act="lrelu").shape == (4, 6)
        assert bias_act(torch.randn(0, 3, 4, 4), b, act="lrelu").shape == (0, 3, 4, 4)


def test_infinities_and_nan_pass(on):
    x = torch.tensor([-math.inf, math.inf, math.nan])
    with on("bias_act"):
        torch.testing.assert_close(bias_act(x, act="relu", gain=1), torch.relu(x), equal_nan=True)
        torch.testing.assert_close(bias_act(x, act="lrelu", gain=1), F.leaky_relu(x, 0.2), equal_nan=True)
        torch.testing.assert_close(bias_act(x, clamp=2.0), x.clamp(-2, 2), equal_nan=True)


def test_result_never_shares_memory_with_the_input(on):
    x = torch.ones(2, 2)
    with on("bias_act"):
        bias_act(x).zero_()
    assert x.sum() == 4


def test_autocast_converts_the_bias(on):
    x, b = torch.randn(2, 3, dtype=torch.bfloat16), torch.randn(3)
    with on("bias_act"), torch.autocast(on.device.type, torch.bfloat16):
        assert bias_act(x, b, act="relu").dtype == torch.bfloat16
        assert bias_act(x.float(), b, act="relu").dtype == torch.float32


def test_no_weight_gradients_spares_the_bias():
    x = torch.randn(2, 3, requires_grad=True)
    b = torch.randn(3, requires_grad=True)
    with use("reference"):
        y = bias_act(x, b, act="softplus")
        with no_weight_gradients():
            dx, db = torch.autograd.grad(y.sum(), (x, b), create_graph=True, allow_unused=True)
        assert db is None
        (second,) = torch.autograd.grad(dx.square().sum(), b)
    assert second.abs().min() > 0


def test_gradient_in_low_precision_matches_pytorch(on):
    x = torch.randn(64, 8, dtype=torch.bfloat16, requires_grad=True)
    g = torch.randn(64, 8, dtype=torch.bfloat16)
    with on("bias_act"):
        (ours,) = torch.autograd.grad(bias_act(x, act="lrelu", gain=1), x, g)
    (own,) = torch.autograd.grad(F.leaky_relu(x, 0.2), x, g)
    torch.testing.assert_close(ours, own)
    with use("reference"):
        (silu,) = torch.autograd.grad(bias_act(x, act="swish", gain=1), x, g)
    torch.testing.assert_close(silu, torch.autograd.grad(F.silu(x), x, g)[0], atol=0.02, rtol=0.02)
