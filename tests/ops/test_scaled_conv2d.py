"""scaled_conv2d, which modulated_conv2d's gradient is made of: values, the adjoint, and derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops.scaled_conv2d import adjoint_padding, scaled_conv2d

PADDINGS = {"none": [0, 0, 0, 0], "same": [1, 1, 1, 1], "wide": [4, 4, 4, 4], "uneven, cropping": [2, -1, 0, 3]}


def inputs(dtype: torch.dtype = torch.float64):
    x, weight = torch.randn(2, 3, 5, 6, dtype=dtype), torch.randn(4, 3, 3, 2, dtype=dtype)
    return x, weight, torch.randn(2, 3, dtype=dtype), torch.randn(2, 4, dtype=dtype)


@pytest.mark.parametrize("padding", PADDINGS)
def test_is_a_convolution_between_two_scalings(padding):
    x, weight, before, after = inputs()
    y = scaled_conv2d(x, weight, before, after, PADDINGS[padding], False)
    padded = F.pad(x * before[:, :, None, None], PADDINGS[padding])
    torch.testing.assert_close(y, F.conv2d(padded, weight) * after[:, :, None, None])
    torch.testing.assert_close(
        scaled_conv2d(x, weight, None, None, PADDINGS[padding], False), F.conv2d(F.pad(x, PADDINGS[padding]), weight)
    )


@pytest.mark.parametrize("padding", PADDINGS)
def test_adjoint(padding):
    x, weight, before, after = inputs()
    y = scaled_conv2d(x, weight, before, after, PADDINGS[padding], False)
    g = torch.randn_like(y)
    back = scaled_conv2d(g, weight, after, before, adjoint_padding(weight, PADDINGS[padding]), True)
    assert back.shape == x.shape
    torch.testing.assert_close((y * g).sum(), (x * back).sum())


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
def test_first_and_second_derivative(padding, adjoint):
    _, weight, before, after = inputs()
    if adjoint:
        before, after = after, before
    x = torch.randn(2, 4 if adjoint else 3, 5, 6, dtype=torch.float64)
    arguments = [t.requires_grad_() for t in (x, weight, before, after)]

    def op(*tensors: torch.Tensor) -> torch.Tensor:
        return scaled_conv2d(*tensors, PADDINGS[padding], adjoint)

    assert gradcheck(op, arguments, fast_mode=True)
    assert gradgradcheck(op, arguments, fast_mode=True)


def test_gradient_of_a_scale_of_zero():
    x, weight, before, _ = inputs()
    after = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    y = scaled_conv2d(x, weight, before, after, [1, 1, 1, 1], False)
    (gradient,) = torch.autograd.grad(y.sum(), after)
    torch.testing.assert_close(gradient, scaled_conv2d(x, weight, before, None, [1] * 4, False).sum([2, 3]))
