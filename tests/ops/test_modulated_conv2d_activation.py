"""bias, act, alpha, gain and clamp of modulated_conv2d: the same as bias_act behind it, and both derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import bias_act, modulated_conv2d, setup_filter

FIR = setup_filter([1, 3, 3, 1])
# those that the op computes itself, and those that are composed: other activations, a slope or a gain that hides φ'
ACTIVATIONS = {
    "linear": {"act": "linear"},
    "linear, clamped": {"act": "linear", "gain": -2.0, "clamp": 0.7},
    "relu": {"act": "relu"},
    "lrelu": {"act": "lrelu", "clamp": 0.8},
    "lrelu without slope": {"act": "lrelu", "alpha": 0.0},
    "lrelu, steeper below": {"act": "lrelu", "alpha": 1.5, "gain": -1.5},
    "lrelu that folds": {"act": "lrelu", "alpha": -0.3},
    "nothing passes": {"act": "lrelu", "gain": 0.0},
    "tanh": {"act": "tanh"},
    "swish": {"act": "swish", "clamp": 0.5},
}


def inputs(dtype: torch.dtype = torch.float64, size: tuple[int, int] = (4, 3)):
    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=dtype, requires_grad=True)

    return tensor(2, 3, *size), tensor(2, 3, 3, 3), tensor(2, 3), tensor(2, 1, 1, 1), tensor(2)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_equals_bias_act_behind_the_convolution(name):
    x, weight, styles, noise, bias = inputs()
    options = ACTIVATIONS[name]
    y = modulated_conv2d(x, weight, styles, noise, padding=1, bias=bias, **options)
    plain = modulated_conv2d(x, weight, styles, noise, padding=1)
    torch.testing.assert_close(y, bias_act(plain, bias, **options))


def test_defaults_by_hand():
    x = torch.tensor([3.0, -3.0]).reshape(1, 1, 1, 2)
    one = torch.ones(1, 1, 1, 1)

    def op(**options: object) -> list[float]:
        return modulated_conv2d(x, one, one[0, 0], demodulate=False, bias=torch.ones(1), **options).flatten().tolist()

    assert op() == [4, -2]
    assert op(act="relu") == pytest.approx([4 * math.sqrt(2), 0])
    assert op(act="lrelu") == pytest.approx([4 * math.sqrt(2), -0.4 * math.sqrt(2)])
    assert op(act="lrelu", alpha=0.5, gain=1, clamp=3) == [3, -1]


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("resampling", [(1, 1, 1), (1, 1, [1, -1, 0, 2]), (2, 1, 1), (1, 2, 1)], ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_first_and_second_derivative(name, resampling, demodulate):
    def op(*tensors: torch.Tensor) -> torch.Tensor:
        *convolution, bias = tensors
        return modulated_conv2d(
            *convolution, *resampling, FIR, demodulate, name != "lrelu", bias=bias, **ACTIVATIONS[name]
        )

    arguments = inputs()
    assert gradcheck(op, arguments, fast_mode=True)
    assert gradgradcheck(op, arguments, fast_mode=True)


def test_gradients_entry_by_entry():
    def op(*tensors: torch.Tensor) -> torch.Tensor:
        return modulated_conv2d(*tensors[:4], padding=1, bias=tensors[4], act="lrelu", clamp=0.8)

    assert gradcheck(op, inputs(size=(3, 3)))


def test_error_in_low_precision_is_that_of_the_result():
    x, weight, styles, noise, bias = (t.detach().bfloat16() for t in inputs(size=(9, 7)))
    options = {"padding": 1, "act": "lrelu"}
    exact = modulated_conv2d(
        *(t.double() for t in (x, weight, styles, noise)), bias=bias.double(), **options
    )  # rounding to nearest: half a unit in the last of eight places
    y = modulated_conv2d(x, weight, styles, noise, bias=bias, **options)
    assert y.dtype == torch.bfloat16
    assert ((y.double() - exact).abs() <= exact.abs() * 2.0**-8 + 1e-5).all()


def test_gradients_in_low_precision_keep_dtype_and_shape():
    arguments = inputs(torch.bfloat16)
    y = modulated_conv2d(*arguments[:4], padding=1, bias=arguments[4], act="lrelu")
    for argument, gradient in zip(arguments, torch.autograd.grad(y.float().sum(), arguments), strict=True):
        assert (gradient.dtype, gradient.shape) == (torch.bfloat16, argument.shape)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("act", ["lrelu", "tanh"])
def test_compiles_whole(act):
    arguments = inputs(torch.float32)

    def op(*tensors: torch.Tensor) -> torch.Tensor:
        return modulated_conv2d(*tensors[:4], padding=1, bias=tensors[4], act=act, clamp=0.8)

    compiled = torch.compile(op, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*arguments), op(*arguments))
    ours = torch.autograd.grad(compiled(*arguments).square().sum(), arguments)
    for a, b in zip(ours, torch.autograd.grad(op(*arguments).square().sum(), arguments), strict=True):
        torch.testing.assert_close(a, b)


def test_the_gradient_that_is_kept_equals_the_one_that_is_not():
    arguments = inputs(size=(5, 6))
    for noise in (arguments[3], torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)):
        tensors = (*arguments[:3], noise, arguments[4])
        y = modulated_conv2d(*tensors[:4], padding=1, bias=tensors[4], act="lrelu", gain=-1.2, clamp=0.8)
        once = torch.autograd.grad(y.square().sum(), tensors, retain_graph=True)
        kept = torch.autograd.grad(y.square().sum(), tensors, create_graph=True)
        for a, b in zip(once, kept, strict=True):
            assert not a.requires_grad
            assert b.requires_grad
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_no_gradient_passes_a_clamp_that_rounding_moved(on, dtype):
    x = torch.tensor([9.0, -9.0, 0.25], dtype=dtype).reshape(3, 1, 1, 1).requires_grad_()
    one = torch.ones(3, 1, dtype=dtype)
    with on("modulated_conv2d"):
        # 0.7 is not a number of either format
        y = modulated_conv2d(x, one[:1].reshape(1, 1, 1, 1), one, demodulate=False, act="linear", clamp=0.7)
        (g,) = torch.autograd.grad(y.sum(), x)
    assert g.flatten().tolist() == [0, 0, 1]
