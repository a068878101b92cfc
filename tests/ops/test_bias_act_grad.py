"""The derivatives of bias_act: the bias's gradient, second and third order, and what a clamp hides."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import bias_act, can_run, no_weight_gradients, use
from smoothswap.ops.bias_act import ACTIVATIONS

STOCK = {
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


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("clamp", [None, 0.6])
@pytest.mark.parametrize("bias", [True, False])
def test_both_orders_are_exact(on, act, clamp, bias):
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, requires_grad=True) if bias else None
    with on("bias_act", act=act):
        assert gradcheck(lambda x, b: bias_act(x, b, act=act, gain=1.3, clamp=clamp), (x, b), fast_mode=on.slow)
        assert gradgradcheck(lambda x, b: bias_act(x, b, act=act, gain=1.3, clamp=clamp), (x, b), fast_mode=on.slow)


@pytest.mark.parametrize("act", ["tanh", "softplus", "swish"])
def test_third_derivative(on, act):
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)

    def third(f) -> Tensor:
        y = f(x)
        for _ in range(3):
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y

    with on("bias_act", act=act):
        ours = third(lambda x: bias_act(x, dim=0, act=act, gain=1))
    torch.testing.assert_close(ours, third(STOCK[act]))


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 600), (2, 70, 9, 9), (1, 2, 200, 100), (70, 5), (2, 3, 1, 2)])
def test_gradients_agree_with_stock_pytorch(on, act, shape):
    gain = 1.5
    for last in (False, True):
        x, g = torch.randn(shape), torch.randn(shape)
        if last and x.ndim == 4:
            x, g = (t.contiguous(memory_format=torch.channels_last) for t in (x, g))
        x, b = x.requires_grad_(), torch.randn(shape[1]).requires_grad_()
        with on("bias_act", act=act):
            dx, db = torch.autograd.grad(bias_act(x, b, act=act, gain=gain), (x, b), g)
        along = b.double().reshape([1, -1] + [1] * (x.ndim - 2))
        own = torch.autograd.grad(STOCK[act](x.double() + along) * gain, (x, b), g.double())
        torch.testing.assert_close(dx, own[0].float(), atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(db, own[1].float(), atol=1e-4, rtol=1e-5)
        assert dx.stride() == x.stride()


@pytest.mark.parametrize("act", ["linear", "lrelu", "swish"])
def test_one_dimension_has_a_bias_of_its_own_for_each_value(on, act):
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, dtype=torch.float64, requires_grad=True)
    with on("bias_act", act=act):
        assert gradcheck(lambda x, b: bias_act(x, b, dim=0, act=act), (x, b))
        assert gradgradcheck(lambda x, b: bias_act(x, b, dim=0, act=act), (x, b))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_no_gradient_passes_a_clamp_that_rounding_moved(on, dtype):
    x = torch.tensor([3.0, -3.0, 0.25], dtype=dtype, requires_grad=True)
    with on("bias_act"):
        y = bias_act(x, dim=0, gain=1, clamp=0.7)  # is not a number of either format
        (g,) = torch.autograd.grad(y.sum(), x)
        assert g.tolist() == [0, 0, 1]


def test_alpha_given_to_an_activation_without_one_changes_nothing(on):
    x = torch.randn(7, dtype=torch.float64, requires_grad=True)
    with on("bias_act"):
        (ours,) = torch.autograd.grad(bias_act(x, dim=0, act="tanh", alpha=-0.5).sum(), x)
    torch.testing.assert_close(ours, 1 - torch.tanh(x.detach()) ** 2)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_derivatives_at_infinity_are_the_limits(backend, act):
    if reason := can_run("bias_act", backend):
        pytest.skip(reason)
    x = torch.tensor([-math.inf, math.inf, -1e30, 1e30], requires_grad=True)
    low, high = {"linear": (1, 1), "lrelu": (0.2, 1), "tanh": (0, 0), "sigmoid": (0, 0)}.get(act, (0, 1))
    high = 1.0507009873554805 if act == "selu" else high
    with use(backend):
        (g,) = torch.autograd.grad(bias_act(x, dim=0, act=act, gain=1).sum(), x)
    torch.testing.assert_close(g, torch.tensor([low, high, low, high], dtype=torch.float32))


@pytest.mark.parametrize("act", ["lrelu", "swish"])
def test_no_weight_gradients_leaves_the_second_derivative_whole(on, act):
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, requires_grad=True)
    with on("bias_act", act=act):
        y = bias_act(x, b, act=act, gain=1)
        with no_weight_gradients():
            dx, db = torch.autograd.grad(y.square().sum(), (x, b), create_graph=True, allow_unused=True)
        assert db is None
        ours = torch.autograd.grad(dx.square().sum(), (x, b))
    (own_dx,) = torch.autograd.grad(STOCK[act](x + b[:, None]).square().sum(), x, create_graph=True)
    for a, e in zip(ours, torch.autograd.grad(own_dx.square().sum(), (x, b)), strict=True):
        torch.testing.assert_close(a, e)
