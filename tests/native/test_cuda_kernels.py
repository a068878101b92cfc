"""The CUDA kernels, compiled as C++ and run thread by thread, against the PyTorch versions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from smoothswap.ops import bias_act, setup_filter, upfirdn2d, use
from smoothswap.ops.bias_act import ACTIVATIONS
from smoothswap.ops.layout import memory_format
from smoothswap.ops.upfirdn2d import output_size

pytestmark = pytest.mark.usefixtures("emulated")
few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# One rounding of the result, beside what sums of some dozen products lose.
ROUNDING = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}
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
        (expected,) = torch.autograd.grad(bias_act(leaf, b, act=act, **options), leaf, g)
    torch.testing.assert_close(dx, expected)
