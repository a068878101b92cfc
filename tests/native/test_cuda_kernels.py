"""The CUDA kernels, compiled as C++ and run thread by thread, against the PyTorch versions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from smoothswap.ops import bias_act, modulated_conv2d, native_cuda, setup_filter, upfirdn2d, use
from smoothswap.ops.bias_act import ACTIVATIONS
from smoothswap.ops.conv2d_weight_gradient import conv2d_weight_gradient
from smoothswap.ops.layout import memory_format
from smoothswap.ops.upfirdn2d import output_size

pytestmark = pytest.mark.usefixtures("emulated")
few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# One rounding of the result, beside what sums of some dozen products lose.
ROUNDING = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}
TOLERANCES = {  # relative and absolute, those of torch.testing.assert_close
    torch.float64: (1e-7, 1e-7),
    torch.float32: (1.3e-6, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float16: (1e-3, 1e-5),
}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
dtypes = st.sampled_from(list(ROUNDING))
layouts = st.sampled_from(list(LAYOUTS.values()))


def _near(mine: Tensor, exact: Tensor, dtype: torch.dtype) -> None:
    """Checks `mine` against fp64 arithmetic on the same numbers."""
    assert mine.dtype == dtype
    assert mine.shape == exact.shape
    error = (mine.double() - exact).abs()
    allowed = ROUNDING[dtype] * exact.abs() + 8 * ROUNDING[torch.float32 if dtype != torch.float64 else dtype]
    assert (error <= allowed * exact.abs().amax().clamp(min=1)).all(), float((error - allowed).max())


@st.composite
def resamplings(draw: st.DrawFn) -> dict[str, object]:
    if draw(st.booleans()):  # four taps: mostly what the networks ask for, at sizes with and without whole packs
        f = draw(st.sampled_from([[1.0, 3, 3, 1], [1.0, -2, 0.5, 0.25]]))
        up, down = draw(st.sampled_from([(1, 1), (2, 1), (1, 2)]))
        padding = draw(st.sampled_from([1, [2, 1, 2, 1], [1, 2, 1, 2], [-1, 3, 0, -2], [5, 4, 3, 2]]))
        return {"f": setup_filter(f, separable=draw(st.booleans())), "up": up, "down": down, "padding": padding}
    size = draw(st.sampled_from([(5,), (3, 2), (4, 4), (1, 9)]))
    numbers = st.integers(1, 3)
    return {
        "f": torch.randn(size),
        "up": [draw(numbers), draw(numbers)],
        "down": [draw(numbers), draw(numbers)],
        "padding": draw(st.lists(st.integers(-3, 9), min_size=4, max_size=4)),
    }


@few
@given(
    resamplings(),
    st.sampled_from([(1, 3, 9, 13), (2, 8, 8, 16), (1, 16, 3, 24), (1, 8, 33, 40)]),
    dtypes,
    layouts,
    st.booleans(),
)
def test_upfirdn2d(options, shape, dtype, layout, flip):
    x = torch.randn(shape, dtype=torch.float64).to(dtype).contiguous(memory_format=layout)
    pairs = [[v, v] if isinstance(v, int) else v for v in (options["up"], options["down"])]
    padding = options["padding"] if isinstance(options["padding"], list) else [options["padding"]] * 4
    if min(output_size(x, options["f"], *pairs, padding)) < 1:
        return
    mine = upfirdn2d(x, **options, flip_filter=flip, gain=1.5)
    with use("reference"):
        exact = upfirdn2d(x.double(), **options, flip_filter=flip, gain=1.5)
    _near(mine, exact, dtype)
    assert memory_format(mine) == memory_format(x)


@few
@given(
    st.sampled_from([(2, 3, 17, 5), (2, 8, 64, 64), (3, 16, 7, 7), (5, 24), (300, 8), (2, 5, 1031)]),
    dtypes,
    layouts,
    st.sampled_from(list(ACTIVATIONS)),
    st.sampled_from([{}, {"gain": -1.5, "alpha": 0.3}, {"clamp": 0.9}]),
    st.booleans(),
    st.booleans(),
)
def test_bias_act_and_its_gradient(shape, dtype, layout, act, options, biased, shifted):
    x = torch.randn(torch.Size(shape).numel() + shifted, dtype=torch.float64).mul(2).to(dtype)[shifted:].view(shape)
    x = x.contiguous(memory_format=layout) if x.ndim == 4 else x
    b = torch.randn(shape[1], dtype=torch.float64).to(dtype) if biased else None
    leaf = x.detach().requires_grad_()
    mine = bias_act(leaf, b, act=act, **options)
    with use("reference"):
        exact = bias_act(x.double(), None if b is None else b.double(), act=act, **options)
    _near(mine, exact, dtype)
    assert mine.stride() == x.stride()
    g = torch.randn_like(mine)
    (dx,) = torch.autograd.grad(mine, leaf, g)
    with use("reference"):
        theirs = bias_act(leaf, b, act=act, **options)
        (expected,) = torch.autograd.grad(theirs, leaf, g)
    # dx = g · s(y), |ds/dy| ≤ 2: where the two rounded y differently, dx may differ by that much, elsewhere not at all.
    allowed = 2 * (g * (mine - theirs)).abs().detach().double()
    assert dx.shape == expected.shape
    near = torch.isclose(dx, expected, *TOLERANCES[dtype])
    assert (near | ((dx - expected).abs().double() <= allowed)).all()


@few
@given(
    st.sampled_from([(2, 8, 8, 16), (1, 3, 5, 7), (2, 16, 1, 3)]),
    dtypes,
    layouts,
    st.sampled_from([{}, {"up": 2, "resample_filter": setup_filter([1, 3, 3, 1])}]),
    st.sampled_from([(), (1,), (1, 1), (2, 1), (4, 1, 1)]),
    st.booleans(),
)
def test_modulated_conv2d_around_the_convolution(shape, dtype, layout, options, noisy, demodulate):
    x = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
    weight, styles = torch.randn(4, shape[1], 3, 3).to(dtype), torch.randn(shape[:2]).to(dtype)
    up = options.get("up", 1)
    full = (shape[0], 4, shape[2] * up, shape[3] * up)
    noise = torch.randn([n if i < 4 - len(noisy) else 1 for i, n in enumerate(full)][-max(len(noisy), 2) :]).to(dtype)
    more = {"padding": 1, "act": "lrelu", "clamp": 1.5, "demodulate": demodulate} | options
    mine = modulated_conv2d(x, weight, styles, noise, bias=styles[0, :1].expand(4), **more)
    with use("reference"):
        doubles = (t.double() for t in (x, weight, styles, noise))
        exact = modulated_conv2d(*doubles, bias=styles[0, :1].double().expand(4), **more)
    # The product with the styles, the convolution and the FIR are rounded too; their size is not the result's.
    size = 4 * float(styles.abs().max() * x.abs().max()) * shape[1] ** 0.5 * (1 if demodulate else 3)
    assert mine.dtype == dtype
    assert ((mine.double() - exact).abs() <= 8 * ROUNDING[dtype] * max(size, 1.0)).all()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", list(ROUNDING), ids=str)
def test_gradient_of_the_convolutions_weight(dtype, layout):
    x, g = (torch.randn(2, c, 6, 8).to(dtype).contiguous(memory_format=layout) for c in (3, 5))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    before, after = torch.randn(2, 3, dtype=wide), torch.randn(2, 5, dtype=wide)
    mine = conv2d_weight_gradient(x, before, g, after, [3, 2], [0, 1, 2, 0])
    with use("reference"):
        doubles = (t.double() for t in (x, before, g, after))
        exact = conv2d_weight_gradient(*doubles, [3, 2], [0, 1, 2, 0])
    assert mine.dtype == wide
    assert mine.is_contiguous(memory_format=layout)
    # Both products with the scales are rounded, and the sum.
    assert (mine.double() - exact).abs().max() <= 4 * ROUNDING[dtype] * exact.abs().max()


def _guarded(like: torch.Tensor, shift: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A tensor like another in the midst of NaN, `shift` values off a multiple of 16 bytes; and all of its memory."""
    whole = torch.full([like.numel() + 128 + shift], torch.nan, dtype=like.dtype)
    skip = -whole.data_ptr() % 16 // whole.element_size() + 64 + shift
    return whole[skip : skip + like.numel()].as_strided(like.shape, like.stride()), whole


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 8, 8, 16), (1, 3, 5, 7)])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_nothing_outside_a_tensor_is_read_or_written(layout, shape, dtype, shift):
    x, _ = _guarded(torch.randn(shape).contiguous(memory_format=layout).to(dtype), shift)
    x.copy_(torch.randn(shape))
    ops, nhwc = native_cuda.ops(), layout == torch.channels_last
    f, fours = setup_filter([1, 3, 3, 1]), [0.125, 0.375, 0.375, 0.125] * 2
    runs = [(x.shape[2:], lambda y: ops.modulate(x, y, None, None, None, 0.2, 1.0, -1.0, nhwc))]
    runs.append((x.shape[2:], lambda y: ops.bias_act(x, y, None, 1, x.numel(), 0, 0.2, 1.0, -1.0)))
    runs.append((x.shape[2:], lambda y: ops.bias_act_grad(x, x, y, True, 0, 0.2, 1.0, -1.0)))
    for up, down, pads in ((1, 1, [2, 1, 2, 1]), (2, 1, [2, 1, 2, 1]), (1, 2, [1, 1, 1, 1])):
        size = [(n * up + pads[0] + pads[1] - 4) // down + 1 for n in x.shape[2:]]
        for taps in ([], fours):
            arguments = (f, taps, [up] * 2, [down] * 2, pads, False, 1.0, nhwc)
            runs.append((size, lambda y, a=arguments: ops.upfirdn2d(x, y, *a)))
    for size, run in runs:
        y, whole = _guarded(torch.empty(*shape[:2], *size, dtype=dtype).contiguous(memory_format=layout), shift)
        run(y)
        assert torch.isfinite(y).all()
        assert int(torch.isnan(whole).sum()) == whole.numel() - y.numel()


def test_offsets_beyond_2_to_31():
    """Memory that is never written costs nothing: only the pixels that are asked for are touched."""
    height, width = 2**15 + 8, 2**16
    x = torch.from_numpy(np.zeros((1, 1, height, width), dtype=np.float16))
    assert x.numel() > 2**31
    x[0, 0, height - 8, width - 256] = 3
    y = upfirdn2d(x, None, down=256)
    assert float(y[0, 0, -1, -1]) == 3
    assert float(y.sum()) == 3
