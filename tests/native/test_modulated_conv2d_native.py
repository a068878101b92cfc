"""The C++ convolution against fp64: Winograd's at the edges of its tiles, vectors and blocks, and the general way."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smoothswap.ops import modulated_conv2d, setup_filter, use
from smoothswap.ops import modulated_conv2d_cpu as cpu
from smoothswap.ops.modulated_conv2d_head import modulated_conv2d_head
from smoothswap.ops.native import missing
from smoothswap.ops.scaled_conv2d import adjoint_padding, scaled_conv2d

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


@pytest.fixture(autouse=True)
def _built() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture
def _winograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Winograd's algorithm wherever it can serve, also where it is not the quicker way."""
    monkeypatch.setattr(cpu, "winograd_serves", lambda x, weight, height, width: x.dtype != torch.float64)


def close(y: Tensor, exact: Tensor) -> None:
    """Compares with fp64: a share of the result's root mean square, more at a value that a large scale multiplied."""
    scale = exact.square().mean().sqrt()
    assert (y.double() - exact).square().mean().sqrt() <= 3e-6 * scale
    assert (y.double() - exact).abs().max() <= 1e-4 * scale


def expected(x, weight, before, after, noise, bias, padding) -> Tensor:
    """The equations in fp64, leaky."""
    x, weight, before, after = x.double(), weight.double(), before.double(), after.double()
    u = F.conv2d(F.pad(x * before[:, :, None, None], padding), weight) * after[:, :, None, None]
    return 2 * F.leaky_relu(u + noise.double() + bias.double()[:, None, None], 0.3)


def result(x, weight, before, after, noise, bias, padding) -> Tensor:
    """The same by Winograd's algorithm."""
    out = expected(x, weight, before, after, noise, bias, padding).shape
    y = cpu._result(x, len(weight), out[2:])
    return cpu._winograd(y, x, weight, before, after, padding, False, False, noise.expand(out), bias, (0.3, 2.0, -1.0))


def inputs(N: int, I: int, O: int, H: int, W: int, layout: str = "nchw", dtype: torch.dtype = torch.float32):
    x = torch.randn(N, I, H, W, dtype=dtype).contiguous(memory_format=LAYOUTS[layout])
    return x, torch.randn(O, I, 3, 3, dtype=dtype), torch.randn(N, I), torch.randn(N, O)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [(1, 1), (3, 17), (16, 16), (17, 33), (70, 40)], ids=str)
def test_sizes_around_the_tiles(channels, layout):
    for H, W in ((1, 1), (1, 20), (2, 3), (4, 4), (5, 8), (7, 17), (13, 49), (20, 19)):
        x, weight, before, after = inputs(2, *channels, H, W, layout)
        noise, bias = torch.randn(2, 1, H, W), torch.randn(channels[1])
        arguments = (x, weight, before, after, noise, bias, [1, 1, 1, 1])
        y = result(*arguments)
        assert y.is_contiguous(memory_format=LAYOUTS[layout])
        close(y, expected(*arguments))


@pytest.mark.parametrize("padding", [[0, 0, 0, 0], [2, 2, 2, 2], [3, 0, 1, 5], [-1, 2, 0, -2], [9, 9, -3, 9]], ids=str)
def test_padding_and_noise_of_any_shape(padding):
    for layout in LAYOUTS:
        x, weight, before, after = inputs(3, 20, 18, 9, 6, layout)
        height, width = 7 + padding[2] + padding[3], 4 + padding[0] + padding[1]
        for shape in ((1, 1, 1, 1), (height, width), (3, 18, height, width), (18, 1, 1), (3, 1, height, 1)):
            arguments = (x, weight, before, after, torch.randn(shape), torch.randn(18), padding)
            close(result(*arguments), expected(*arguments))


@pytest.mark.parametrize("shape", [(1, 8, 8, 3, 3), (2, 8, 8, 1, 1), (1, 40, 1, 2, 1)], ids=str)
def test_layout_of_x_where_the_result_shows_none(shape):
    N, I, O, H, W = shape
    padding = [0, 3 - W, 0, 3 - H]
    for layout in LAYOUTS:
        arguments = (*inputs(N, I, O, H, W, layout), torch.randn(N, O, 1, 1), torch.randn(O), padding)
        close(result(*arguments), expected(*arguments))


@pytest.mark.usefixtures("_winograd")
@given(
    sizes=st.tuples(*[st.integers(1, 5)], *[st.integers(1, 40)] * 2, *[st.integers(1, 20)] * 2),
    padding=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    layout=st.sampled_from(list(LAYOUTS)),
    demodulate=st.booleans(),
    flip_weight=st.booleans(),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_shape(sizes, padding, layout, demodulate, flip_weight):
    N, I, O, H, W = sizes
    if H + padding[2] + padding[3] < 3 or W + padding[0] + padding[1] < 3:
        return
    x, weight, styles, _ = inputs(N, I, O, H, W, layout)
    arguments = (x, weight, styles, None, 1, 1, padding, None, demodulate, flip_weight)
    with use("reference"):
        exact = modulated_conv2d(*(a.double() if isinstance(a, Tensor) else a for a in arguments))
    with use("cpu"):
        close(modulated_conv2d(*arguments), exact)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_low_precision_rounds_once(layout, dtype):
    x, weight, before, after = inputs(2, 24, 20, 11, 10, layout, dtype)
    arguments = (x, weight, before, after, torch.randn(1, 11, 10, dtype=dtype), torch.randn(20), [1, 1, 1, 1])
    y, exact = result(*arguments), expected(*arguments)
    assert y.dtype == dtype
    half_a_place = torch.finfo(dtype).eps / 2
    assert ((y.double() - exact).abs() <= exact.abs() * half_a_place + 3e-5 * exact.square().mean().sqrt()).all()


def test_error_is_a_small_multiple_of_the_plain_convolutions():
    x, weight, _, _ = inputs(1, 256, 64, 32, 32)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    ours = scaled_conv2d(x, weight, None, None, [1] * 4, False).double() - exact
    # a plain sum of 256 · 9 products in fp32, in the order of the loops
    columns, plain = F.unfold(x, 3, padding=1)[0], torch.zeros(64, 1024)
    for k in range(len(columns)):
        plain += weight.flatten(1)[:, k, None] * columns[k]
    assert ours.norm() <= 3 * (plain.reshape(1, 64, 32, 32).double() - exact).norm()
    assert ours.norm() <= 3e-6 * exact.norm()


@pytest.mark.usefixtures("_winograd")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_adjoint(layout):
    padding = [2, 0, -1, 3]
    x, weight, before, after = inputs(2, 19, 34, 9, 14, layout)
    y = scaled_conv2d(x, weight, before, after, padding, False)
    g = torch.randn_like(y)
    back = scaled_conv2d(g, weight, after, before, adjoint_padding(weight, padding), True)
    assert back.is_contiguous(memory_format=LAYOUTS[layout])
    wanted = (x.double() * back.double()).sum()
    assert ((y.double() * g.double()).sum() - wanted).abs() <= 3e-6 * x.double().norm() * back.double().norm()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("up", [1, 2])
def test_gradients_agree_with_the_reference(up, layout):
    def gradients() -> list[Tensor]:
        y = modulated_conv2d(
            *(x, weight, styles, noise, up, 1, 1, setup_filter([1, 3, 3, 1])), bias=bias, act="lrelu", clamp=1
        )
        return [y, *torch.autograd.grad((y * g).sum(), arguments)]

    x, weight, styles, _ = inputs(2, 16, 24, 12, 16, layout)
    noise, bias, g = torch.randn(2, 1, 12 * up, 16 * up), torch.randn(24), torch.randn(2, 24, 12 * up, 16 * up)
    arguments = [t.requires_grad_() for t in (x, weight, styles, noise, bias)]
    with use("cpu"):
        ours = gradients()
    with use("reference"):
        for a, b in zip(ours, gradients(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_in_front_of_the_convolution(layout):
    for (N, O, H, W), gain in (((2, 19, 7, 33), -1.5), ((1, 40, 70, 64), 2.0), ((3, 5, 1, 1), 1.0)):
        g, y = (torch.randn(N, O, H, W).contiguous(memory_format=LAYOUTS[layout]) for _ in range(2))
        for noise in (None, torch.randn(H, W), torch.randn(N, 1, 1, 1), torch.randn(N, 1, H, 2 * W)[..., ::2]):
            for d in (None, torch.randn(N, O)):
                arguments = (g, y, noise, d, "lrelu", 0.3, gain, 0.9)
                with use("cpu"):
                    ours = modulated_conv2d_head(*arguments)
                with use("reference"):
                    wanted = modulated_conv2d_head(*(t.double() if isinstance(t, Tensor) else t for t in arguments))
                for a, b in zip(ours, wanted, strict=True):
                    torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5 * (1 + float(b.abs().max())))


def test_strided_and_transposed_inputs():
    x, weight, styles, _ = inputs(3, 32, 16, 12, 18)
    plain = modulated_conv2d(x[:, ::2, ::2, 1::3], weight[:, ::2], styles[:, ::2], padding=1)
    copied = modulated_conv2d(
        *(t.contiguous() for t in (x[:, ::2, ::2, 1::3], weight[:, ::2], styles[:, ::2])), padding=1
    )
    assert torch.equal(plain, copied)


def test_minus_infinity_passes_relu_as_zero():
    x, weight, _, _ = inputs(1, 8, 8, 8, 8)
    for kernel in (weight, weight[:, :, :1, :1]):  # Winograd's way and the general one
        y = modulated_conv2d(
            *(x, kernel, torch.ones(1, 8), torch.tensor(-float("inf"))), padding=kernel.shape[2] // 2, act="relu"
        )
        assert torch.equal(y, torch.zeros_like(y))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [(40, 36), (33, 17), (64, 64)], ids=str)
def test_the_number_of_threads_changes_roundings_of_the_demodulation_alone(channels, layout):
    x, weight, styles, _ = inputs(3, *channels, 33, 29, layout)

    def both():
        return [modulated_conv2d(x, weight, styles, padding=1, demodulate=d) for d in (False, True)]

    one = both()
    torch.set_num_threads(2)
    try:
        two = both()
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one[0], two[0])
    # The BLAS library orders the sum of a demodulation, of I products, as it likes: I roundings at most, under a root.
    torch.testing.assert_close(one[1], two[1], rtol=channels[0] * torch.finfo(torch.float32).eps, atol=0)


@pytest.mark.parametrize("mode", [(1, 2, 1), (3, 2, 1), (3, 1, 2)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_general_way_with_resampling(mode, dtype):
    kernel, up, down = mode
    for layout in LAYOUTS.values():
        x = torch.randn(2, 6, 8, 10, dtype=dtype).contiguous(memory_format=layout)
        weight, styles = torch.randn(5, 6, kernel, kernel, dtype=dtype), torch.randn(2, 6, dtype=dtype)
        noise, bias = torch.randn(2, 1, 1, 10 * up // down, dtype=dtype), torch.randn(5, dtype=dtype)
        arguments = (x, weight, styles, noise, up, down, kernel // 2, setup_filter([1, 3, 3, 1]))
        with use("reference"):
            wanted = modulated_conv2d(*arguments, bias=bias, act="lrelu", clamp=2)
        with use("cpu"):
            y = modulated_conv2d(*arguments, bias=bias, act="lrelu", clamp=2)
        assert y.is_contiguous(memory_format=layout)
        torch.testing.assert_close(y, wanted)
