"""Batches without images: every op gives an empty result of the right shape, and gradients that are zero or empty."""

from __future__ import annotations

import pytest
import torch

from smoothswap.ops import bias_act, modulated_conv2d, setup_filter, supcon_loss, upfirdn2d


def images():
    return torch.randn(0, 3, 8, 8, requires_grad=True)


def check(y, shape, x, *weights):
    assert y.shape == shape
    gradients = torch.autograd.grad(y.sum(), (x, *weights), create_graph=True, materialize_grads=True)
    assert gradients[0].shape == x.shape
    for weight, gradient in zip(weights, gradients[1:], strict=True):
        assert gradient.shape == weight.shape
        assert not gradient.any()


@pytest.mark.parametrize("options", [{"down": 2}, {"up": 2}, {"padding": [2, 1, 2, 1]}], ids=str)
def test_upfirdn2d(on, options):
    x, f = images(), setup_filter([1, 3, 3, 1], device=on.device)
    with on("upfirdn2d"):
        y = upfirdn2d(x, f, **options)
        check(y, (0, 3, *upfirdn2d(torch.randn(1, 3, 8, 8), f, **options).shape[2:]), x)


def test_bias_act(on):
    x, b = images(), torch.randn(3, requires_grad=True)
    with on("bias_act"), on("bias_act_grad"):
        check(bias_act(x, b, act="lrelu"), x.shape, x, b)


@pytest.mark.parametrize("resampling", [(1, 1), (2, 1), (1, 2)], ids=str)
def test_modulated_conv2d(on, resampling):
    up, down = resampling
    x, w, s = images(), torch.randn(5, 3, 3, 3, requires_grad=True), torch.randn(0, 3, requires_grad=True)
    bias, f = torch.randn(5, requires_grad=True), setup_filter([1, 3, 3, 1], device=on.device)
    with on("modulated_conv2d"):
        y = modulated_conv2d(x, w, s, None, up, down, 1, f, bias=bias, act="lrelu")
        check(y, (0, 5, 8 * up // down, 8 * up // down), x, w, bias)


def test_supcon_loss(on):
    z = torch.randn(0, 4, requires_grad=True)
    with on("supcon_lse"), on("supcon_lse_grad"):
        loss = supcon_loss(z, torch.zeros(0, dtype=torch.long))
        assert loss == 0
        check(loss, (), z)
