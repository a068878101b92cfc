from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import can_run, group_norm_act, no_weight_gradients, use

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PLAIN = {"linear": lambda v: v, "relu": F.relu, "lrelu": lambda v: F.leaky_relu(v, 0.2), "swish": F.silu}
EPS = 1e-6


def plain(x, groups, weight, bias, act="swish"):
    return PLAIN[act](F.group_norm(x, groups, weight, bias, EPS))


def features(*shape, dtype=torch.float32, layout="contiguous", mean=1.0, std=2.0):
    x = mean + std * torch.randn(shape, dtype=torch.float64)
    return x.to(dtype).contiguous(memory_format=LAYOUTS[layout] if len(shape) == 4 else torch.contiguous_format)


def parameters(channels, dtype=torch.float32):
    return torch.randn(channels).to(dtype), torch.randn(channels).to(dtype)


def test_by_hand(on):
    x = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])  # one group: mean 4, variance 5
    weight, bias = torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0])
    with on("group_norm_act"):
        y = group_norm_act(x, 1, weight, bias, eps=4.0, act="linear")
        torch.testing.assert_close(y, torch.tensor([[[-1.0, -1 / 3], [1 - 2 / 3, -1.0]]]))
        y = group_norm_act(x, 1, weight, bias, eps=4.0, act="lrelu", alpha=0.5)
        torch.testing.assert_close(y, torch.tensor([[[-0.5, -1 / 6], [1 / 3, -0.5]]]))
        y = group_norm_act(x, 1, weight, bias, eps=4.0)
        torch.testing.assert_close(y[0, 0, 0], torch.tensor(-1 / (1 + math.e)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("act", PLAIN)
@pytest.mark.parametrize(
    ("shape", "groups"),
    [((2, 6, 5, 7), 3), ((3, 8, 1, 9), 1), ((2, 12, 65, 65), 12), ((1, 160, 33, 2), 32), ((5, 300, 2, 2), 5)],
)
def test_against_reference(on, shape, groups, act, layout):
    x, (weight, bias) = features(*shape, dtype=torch.float64, layout=layout), parameters(shape[1], torch.float64)
    given = [t.clone().requires_grad_() for t in (x, weight, bias)]
    own = [t.clone().requires_grad_() for t in (x, weight, bias)]
    g = torch.randn(shape, dtype=torch.float64)
    expected = plain(own[0], groups, *own[1:], act)
    with on("group_norm_act", act=act):
        y = group_norm_act(given[0], groups, *given[1:], act=act)
        torch.testing.assert_close(y, expected)
        assert y.is_contiguous(memory_format=LAYOUTS[layout])
        gradients = torch.autograd.grad(y, given, g)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, own, g))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("shape", "groups"), [((2, 16, 33, 31), 4), ((1, 96, 70, 64), 1), ((3, 40, 3, 3), 10)])
def test_errors_are_at_most_twice_pytorchs(on, shape, groups, dtype, layout):
    x, (weight, bias) = features(*shape, dtype=dtype, layout=layout), parameters(shape[1], dtype)
    g = features(*shape, dtype=dtype, layout=layout, mean=0.0)

    def run(call, wide):
        given = [t.to(wide).detach().clone().requires_grad_() for t in (x, weight, bias)]
        y = call(*given)
        return [y, *torch.autograd.grad(y, given, g.to(wide))]

    exact = run(lambda x, w, b: plain(x, groups, w, b), torch.float64)
    own = run(lambda x, w, b: plain(x, groups, w, b), dtype)
    with on("group_norm_act"):
        ours = run(lambda x, w, b: group_norm_act(x, groups, w, b), dtype)
    floor = torch.finfo(dtype).eps  # PyTorch's own error can be luckily small
    for e, theirs, mine in zip(exact, own, ours, strict=True):
        scale = e.abs().max()
        assert mine.dtype == dtype
        assert (mine.double() - e).abs().max() <= 2 * (theirs.double() - e).abs().max() + floor * scale


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("act", ["swish", "lrelu"])
@pytest.mark.parametrize("with_parameters", [True, False])
def test_first_and_second_derivative(on, act, layout, with_parameters):
    x = features(2, 4, 3, 2, dtype=torch.float64, layout=layout).requires_grad_()
    given = [x]
    if with_parameters:
        given += [p.requires_grad_() for p in parameters(4, torch.float64)]

    def op(x, weight=None, bias=None):
        return group_norm_act(x, 2, weight, bias, eps=0.1, act=act)

    with on("group_norm_act"):
        assert gradcheck(op, given)
        assert gradgradcheck(op, given)


@pytest.mark.parametrize("act", ["linear", "tanh", "softplus", "elu"])
def test_second_derivative_of_the_other_activations(act):
    x = features(1, 4, 3, dtype=torch.float64).requires_grad_()
    weight, bias = (p.requires_grad_() for p in parameters(4, torch.float64))
    assert gradgradcheck(lambda *given: group_norm_act(given[0], 2, *given[1:], act=act), (x, weight, bias))


@pytest.fixture
def kernel():
    """The C++ kernel; PyTorch's own group_norm loses these cases in channels_last."""
    if reason := can_run("group_norm_act", "cpu"):
        pytest.skip(reason)
    with use("cpu"):
        yield


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_large_mean_costs_no_digits(layout):
    x = features(2, 8, 40, 40, layout=layout, mean=1e4, std=1.0)
    exact = plain(x.double(), 2, None, None)
    assert (group_norm_act(x, 2).double() - exact).abs().max() < 1e-3  # a unit in the last place of 1e4


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_stray_first_value_costs_no_digits(layout):
    x = features(1, 4, 64, 64, layout=layout)
    x[0, :, 0, 0] = 500.0
    exact = plain(x.double(), 2, None, None)
    assert (group_norm_act(x, 2).double() - exact).abs().max() < 2e-5 * exact.abs().max()


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_constant_groups_and_single_values(layout):
    x = torch.full((2, 4, 3, 3), 7.0).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
    bias = torch.tensor([1.0, -1.0, 2.0, 0.0])
    y = group_norm_act(x, 2, None, bias)
    torch.testing.assert_close(y, F.silu(bias)[None, :, None, None].expand_as(y))
    (dx,) = torch.autograd.grad(y.sum(), x)
    assert dx.isfinite().all()
    assert group_norm_act(torch.randn(3, 5), 5).abs().max() == 0  # a value alone is its own mean


def test_shapes_and_strides(on):
    weight, bias = parameters(6)
    with on("group_norm_act"):
        for shape in ((0, 6, 4, 4), (4, 6), (2, 6, 9), (2, 6, 3, 4, 5)):
            x = torch.randn(shape)
            y = group_norm_act(x, 3, weight, bias)
            assert y.shape == x.shape
            if x.numel():
                torch.testing.assert_close(y, plain(x, 3, weight, bias), atol=2e-6, rtol=1e-5)
        x = torch.randn(2, 12, 8, 9)[:, ::2, :, 1:].requires_grad_()
        torch.testing.assert_close(group_norm_act(x, 3, weight, bias), plain(x, 3, weight, bias), atol=2e-6, rtol=1e-5)
        (ours,) = torch.autograd.grad(group_norm_act(x, 3, weight, bias).sum(), x)
        (theirs,) = torch.autograd.grad(plain(x, 3, weight, bias).sum(), x)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_nan_stays_in_its_group(on):
    x = torch.randn(1, 4, 5, 5)
    x[0, 1, 2, 3] = math.nan
    with on("group_norm_act"):
        y = group_norm_act(x, 2)
    assert y[0, :2].isnan().all()
    assert y[0, 2:].isfinite().all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 3])
def test_threads_do_not_change_a_bit(batch, layout):
    if reason := can_run("group_norm_act", "cpu"):
        pytest.skip(reason)
    x = features(batch, 16, 90, 90, layout=layout)
    weight, bias = parameters(16)

    def run():
        given = [t.clone().requires_grad_() for t in (x, weight, bias)]
        y = group_norm_act(given[0], 1, *given[1:])
        return [y, *torch.autograd.grad(y.square().sum(), given)]

    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            with use("cpu"):
                results.append(run())
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_autocast_converts_the_parameters(on):
    x, (weight, bias) = features(2, 4, 3, 3, dtype=torch.bfloat16), parameters(4)
    with on("group_norm_act"), torch.autocast("cpu", torch.bfloat16):
        assert group_norm_act(x, 2, weight, bias).dtype == torch.bfloat16
        assert group_norm_act(x.float(), 2, weight, bias.bfloat16()).dtype == torch.float32


def test_gradients_have_the_dtypes_of_the_parameters(on):
    x = features(2, 4, 3, 3, dtype=torch.bfloat16).requires_grad_()
    for dtype in (torch.float32, torch.bfloat16):
        weight, bias = (p.requires_grad_() for p in parameters(4, dtype))
        with on("group_norm_act"):
            dx, dweight, dbias = torch.autograd.grad(group_norm_act(x, 2, weight, bias).sum(), (x, weight, bias))
        assert (dx.dtype, dweight.dtype, dbias.dtype) == (torch.bfloat16, dtype, dtype)


def test_no_weight_gradients_spares_the_parameters(on):
    x = features(2, 4, 3, 3).requires_grad_()
    weight, bias = (p.requires_grad_() for p in parameters(4))
    with on("group_norm_act"):
        y = group_norm_act(x, 2, weight, bias)
        with no_weight_gradients():
            dx, dweight = torch.autograd.grad(y.sum(), (x, weight), create_graph=True, allow_unused=True)
        assert dweight is None
        (second,) = torch.autograd.grad(dx.square().sum(), weight)
    assert second.abs().min() > 0


def test_the_statistics_have_no_gradient():
    _, mean, rstd = torch.ops.smoothswap.group_norm_act(
        torch.randn(2, 4, 3, requires_grad=True), 2, None, None, EPS, "swish", 0.0
    )
    assert not mean.requires_grad
    assert not rstd.requires_grad


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_opcheck(dtype, layout):
    x = features(2, 4, 3, 5, dtype=dtype, layout=layout).requires_grad_()
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    weight, bias = (p.requires_grad_() for p in parameters(4, wide))
    op, grad = torch.ops.smoothswap.group_norm_act, torch.ops.smoothswap.group_norm_act_grad
    checks = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    checks = checks if dtype != torch.bfloat16 else checks[:3]
    torch.library.opcheck(op.default, (x, 2, weight, bias, EPS, "swish", 0.0), test_utils=checks)
    _, mean, rstd = op(x.detach(), 2, weight.detach(), bias.detach(), EPS, "swish", 0.0)
    given = (features(2, 4, 3, 5, dtype=dtype, layout=layout), x, mean, rstd, weight, bias, 2, EPS, "swish", 0.0)
    torch.library.opcheck(grad.default, given, test_utils=checks[:3])


def test_compiles_whole():
    x, (weight, bias) = features(2, 4, 5, 5).requires_grad_(), parameters(4)
    compiled = torch.compile(lambda x: group_norm_act(x, 2, weight, bias), fullgraph=True, backend="aot_eager")
    y = compiled(x)
    torch.testing.assert_close(y, plain(x, 2, weight, bias), atol=2e-6, rtol=1e-5)
    (ours,) = torch.autograd.grad(y.square().sum(), x)
    (theirs,) = torch.autograd.grad(plain(x, 2, weight, bias).square().sum(), x)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 3}, "4 channels cannot be split into 3 groups"),
        ({"groups": 0}, "cannot be split into 0 groups"),
        ({"weight": torch.ones(3)}, r"weight has shape \[3\], expected \[4\]"),
        ({"bias": torch.ones(4, 1)}, r"bias has shape \[4, 1\], expected \[4\]"),
        ({"weight": torch.ones(4, dtype=torch.float64)}, "weight has dtype torch.float64, expected torch.float32"),
        ({"x": torch.ones(4)}, "x has 1 dimensions"),
        ({"x": torch.ones(1, 4, dtype=torch.int64)}, "x has dtype torch.int64"),
        ({"eps": 0.0}, "eps is 0.0"),
        ({"eps": math.nan}, "eps is nan"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"act": "silu"}, "unknown act 'silu'"),
    ],
)
def test_errors(change, message):
    given = {"x": torch.randn(1, 4, 3), "groups": 2, **change}
    with pytest.raises(ArgumentError, match=message):
        group_norm_act(**given)
