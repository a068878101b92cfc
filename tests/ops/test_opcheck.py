"""torch.library.opcheck: schema, autograd registration, fake kernel (shape, dtype, strides), tracing."""

from __future__ import annotations

import pytest
import torch

ops = torch.ops.smoothswap
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
ALWAYS = ("test_schema", "test_autograd_registration", "test_faketensor")


def images(*shape: int, dtype: torch.dtype = torch.float32, layout: str = "contiguous") -> torch.Tensor:
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_upfirdn2d(dtype, layout):
    x = images(2, 3, 6, 5, dtype=dtype, layout=layout)
    f = torch.randn(3, 2)
    torch.library.opcheck(ops.upfirdn2d.default, (x, f, [2, 1], [1, 2], [1, 2, 0, 1], False, 2.0), test_utils=ALWAYS)
    torch.library.opcheck(ops.upfirdn2d.default, (x, None, [1, 1], [1, 1], [0] * 4, False, 1.0), test_utils=ALWAYS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_act(dtype, layout):
    x = images(2, 3, 6, 5, dtype=dtype, layout=layout)
    b = torch.randn(3, dtype=dtype, requires_grad=True)
    for act in ("linear", "lrelu", "swish"):
        torch.library.opcheck(ops.bias_act.default, (x, b, 1, act, 0.2, 1.4, 0.9), test_utils=ALWAYS)
        grad = (images(2, 3, 6, 5, dtype=dtype, layout=layout), x, act != "swish", act, 0.2, 1.4, 0.9)
        torch.library.opcheck(ops.bias_act_grad.default, grad, test_utils=ALWAYS)
        g, ref, *numbers = grad
        bias = b if act == "swish" else None
        torch.library.opcheck(ops.bias_act_backward.default, (g, ref, bias, 1, True, *numbers), test_utils=ALWAYS)
        if dtype != torch.bfloat16:
            second = (images(2, 3, 6, 5, dtype=dtype, layout=layout), g, ref, bias, 1, True, *numbers)
            torch.library.opcheck(ops.bias_act_second.default, second, test_utils=ALWAYS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_modulated_conv2d(dtype, layout):
    x = images(2, 3, 6, 5, dtype=dtype, layout=layout)
    weight = torch.randn(4, 3, 3, 3, dtype=dtype, requires_grad=True)
    styles = torch.randn(2, 3, dtype=dtype, requires_grad=True)
    bias = torch.randn(4, dtype=dtype, requires_grad=True)
    for up, down in ((1, 1), (2, 1), (1, 2)):
        convolution = (x, weight, styles, None, up, down, [1] * 4, torch.ones(4, 4), True, True)
        for activation in ((bias, "lrelu", 0.2, 1.4, 0.9), (None, "linear", 0.0, 1.0, -1.0)):
            torch.library.opcheck(ops.modulated_conv2d.default, convolution + activation, test_utils=ALWAYS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scaled_conv2d(dtype, layout):
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    weight = torch.randn(4, 3, 3, 2, dtype=dtype, requires_grad=True)
    many, few = (torch.randn(2, n, dtype=wide, requires_grad=True) for n in (4, 3))
    for adjoint in (False, True):
        x = images(2, 4 if adjoint else 3, 6, 5, dtype=dtype, layout=layout)
        for scales in ((many, few) if adjoint else (few, many), (None, None)):
            arguments = (x, weight, *scales, [1, 2, -1, 1], adjoint)
            torch.library.opcheck(ops.scaled_conv2d.default, arguments, test_utils=ALWAYS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_conv2d_weight_gradient(dtype, layout):
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x, g = (images(2, *size, dtype=dtype, layout=layout) for size in ((3, 6, 5), (4, 4, 7)))
    scales = [torch.randn(2, n, dtype=wide, requires_grad=True) for n in (3, 4)]
    for before, after in (scales, (None, None)):
        arguments = (x, before, g, after, [3, 2], [1, 2, -1, 1])
        torch.library.opcheck(ops.conv2d_weight_gradient.default, arguments, test_utils=ALWAYS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_modulated_conv2d_head(layout):
    g, y = (images(2, 4, 6, 5, layout=layout).detach() for _ in range(2))
    for noise, d in ((torch.randn(6, 5), torch.randn(2, 4)), (None, None)):
        arguments = (g, y, noise, d, "lrelu", 0.2, 1.4, 0.9)
        torch.library.opcheck(ops.modulated_conv2d_head.default, arguments, test_utils=ALWAYS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_supcon_loss(dtype):
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    z, labels = torch.randn(6, 4, dtype=dtype, requires_grad=True), torch.tensor([0, 0, 1, 1, 1, 2])
    lists = (torch.tensor([0, 2, 2, 3, 3, 4, 4]), torch.tensor([1, 2, 0, 5]))
    g, h, lse = (torch.randn(s, dtype=wide, requires_grad=True) for s in ((6,), (6, 4), (6,)))
    for positives in ((labels, None, None), (None, *lists)):
        torch.library.opcheck(ops.supcon_loss.default, (z, *positives, 0.1), test_utils=ALWAYS)
        torch.library.opcheck(ops.positive_pull.default, (g, z, *positives), test_utils=ALWAYS)
    torch.library.opcheck(ops.supcon_lse.default, (z, 0.1), test_utils=ALWAYS)
    torch.library.opcheck(ops.supcon_lse_grad.default, (g, z, lse, 0.1), test_utils=ALWAYS)
    torch.library.opcheck(ops.supcon_lse_grad_grad.default, (h, g, z, lse, 0.1), test_utils=ALWAYS)
    torch.library.opcheck(ops.same_label_sum.default, (h, labels), test_utils=ALWAYS)
    torch.library.opcheck(ops.listed_sum.default, (h, *lists), test_utils=ALWAYS)
    rows, few = z.detach()[:3], (g.detach()[:3], lse.detach()[:3])
    torch.library.opcheck(ops.supcon_rows_lse.default, (rows, z.detach(), 0, 0.1), test_utils=ALWAYS)
    columns = (g.detach(), lse.detach(), z.detach())
    torch.library.opcheck(ops.supcon_rows_grad.default, (*few, rows, *columns, 2, 0.1), test_utils=ALWAYS)


def test_tracing_with_changing_shapes():
    x = images(2, 3, 6, 5)
    weight, styles = torch.randn(4, 3, 3, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    modulated = (x, weight, styles, None, 1, 2, [1] * 4, torch.ones(4, 4), True, True)
    z, labels = torch.randn(6, 4, requires_grad=True), torch.tensor([0, 0, 1, 1, 1, 2])
    for op, arguments in (
        (ops.upfirdn2d, (x, torch.ones(4, 4), [2, 2], [1, 1], [2, 1, 2, 1], False, 4.0)),
        (ops.bias_act, (x, torch.randn(3, requires_grad=True), 1, "lrelu", 0.2, 1.4, -1.0)),
        (ops.modulated_conv2d, (*modulated, None, "linear", 0.0, 1.0, -1.0)),
        (ops.modulated_conv2d, (*modulated, torch.randn(4, requires_grad=True), "lrelu", 0.2, 1.4, 0.9)),
        (ops.scaled_conv2d, (x, weight, styles, None, [1] * 4, False)),
        (ops.conv2d_weight_gradient, (x, styles, images(2, 4, 6, 5), None, [3, 3], [1] * 4)),
        (ops.supcon_loss, (z, labels, None, None, 0.1)),
    ):
        torch.library.opcheck(op.default, arguments, test_utils=("test_aot_dispatch_dynamic",))
