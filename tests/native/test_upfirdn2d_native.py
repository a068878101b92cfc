"""upfirdn2d in C++: every path, at every width around the vectors' edges."""

from __future__ import annotations

import pytest
import torch
from rounding import rms_error

from smoothswap.ops import setup_filter, upfirdn2d, use
from smoothswap.ops.native import missing

FIR = setup_filter([1, 3, 3, 1])
SKEW = torch.outer(torch.tensor([1.0, -2.0, 0.5, 0.25]), torch.tensor([0.5, 3.0, -1.0, 2.0]))
SIX, TWELVE = torch.randn(6), torch.hann_window(14, periodic=False)[1:-1]
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
# name: f, up, down, padding
PATHS = {
    "down2": (FIR, 1, 2, 1),
    "down2, adjoint": (FIR, 2, 1, [2, 1, 2, 1]),
    "up2, adjoint": (FIR, 1, 2, [1, 2, 1, 2]),
    "filter": (FIR, 1, 1, [2, 1, 2, 1]),
    "filter, adjoint": (FIR, 1, 1, [1, 2, 1, 2]),
    "down2, skew, cropped": (SKEW, 1, 2, [-3, 5, 4, -1]),
    "up2, skew, cropped": (SKEW, 2, 1, [5, -2, -1, 4]),
    "filter, skew, cropped": (SKEW, 1, 1, [4, -1, -2, 3]),
    "up2 across, down2 along": (SKEW, [2, 1], [1, 2], 3),
    "six taps up": (SIX, 2, 1, 3),
    "twelve taps down": (TWELVE, 1, 2, 6),
    "twelve taps up": (TWELVE, 2, 1, 6),
    "twelve taps": (TWELVE, 1, 1, 6),
    "three taps up": (torch.tensor([1.0, 2.0, -1.0]), 2, 1, 2),
    "up4": (TWELVE, 4, 1, 6),
    "up3 down2": (SKEW, 3, 2, 4),
    "no filter, both by 2": (None, 2, 2, 1),
}


@pytest.fixture(autouse=True)
def _built() -> None:
    if reason := missing():
        pytest.skip(reason)


def on_both(x, f, up, down, padding):
    """The kernel's result, the reference's in x's dtype and the exact one in fp64, for x [B, C, H, W]."""
    with use("cpu"):
        y = upfirdn2d(x, f, up, down, padding, gain=1.5)
    with use("reference"):
        own = upfirdn2d(x, f, up, down, padding, gain=1.5)
        return y, own, upfirdn2d(x.double(), f, up, down, padding, gain=1.5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("path", PATHS)
def test_every_width_around_the_edges_of_vectors(path, layout):
    f, up, down, padding = PATHS[path]
    for width in range(4, 71):
        x = torch.randn(1, 3 if width % 2 else 1, 7, width).contiguous(memory_format=LAYOUTS[layout])
        y, _, exact = on_both(x, f, up, down, padding)
        torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5, msg=lambda m, w=width: f"width {w}: {m}")


@pytest.mark.parametrize("path", ["down2", "down2, adjoint", "filter"])
def test_the_narrowest_images(path):
    f, up, down, padding = PATHS[path]
    for height, width in ((1, 2), (2, 1), (1, 1), (2, 3), (3, 2)):
        if min(height, width) == 1 and path == "down2":
            continue
        y, _, exact = on_both(torch.randn(2, 3, height, width), f, up, down, padding)
        torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 70])
@pytest.mark.parametrize("path", PATHS)
def test_every_number_of_channels_in_channels_last(path, channels):
    f, up, down, padding = PATHS[path]
    x = torch.randn(2, channels, 6, 9).contiguous(memory_format=torch.channels_last)
    y, _, exact = on_both(x, f, up, down, padding)
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("path", PATHS)
def test_rows_longer_than_a_block(path, layout):
    f, up, down, padding = PATHS[path]
    x = torch.randn(1, 1 if layout == "nchw" else 300, 4, 4500 if layout == "nchw" else 61)
    y, _, exact = on_both(x.contiguous(memory_format=LAYOUTS[layout]), f, up, down, padding)
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("path", PATHS)
def test_fp64_at_widths_around_its_vectors(path, layout):
    f, up, down, padding = PATHS[path]
    for width in range(4, 35):
        x = torch.randn(1, 3, 6, width, dtype=torch.float64).contiguous(memory_format=LAYOUTS[layout])
        y, _, exact = on_both(x, f, up, down, padding)
        torch.testing.assert_close(y, exact, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("path", PATHS)
def test_error_is_at_most_twice_that_of_the_reference(path, layout, dtype):
    f, up, down, padding = PATHS[path]
    x = torch.randn(2, 19, 12, 37).to(dtype).contiguous(memory_format=LAYOUTS[layout])
    y, own, exact = on_both(x, f, up, down, padding)
    assert y.dtype == dtype
    assert rms_error(y, exact) <= 2 * rms_error(own, exact)
    # And each value: n products, summed in whatever order, are within n roundings of the sum of their sizes.
    with use("reference"):
        sizes = upfirdn2d(x.double().abs(), None if f is None else f.abs(), up, down, padding, gain=1.5)
    taps = 1 if f is None else f.numel() ** (2 // f.ndim)
    bound = (taps + 2) * torch.finfo(torch.float32).eps / 2 * sizes + torch.finfo(dtype).eps / 2 * exact.abs()
    assert ((y.double() - exact).abs() <= bound + torch.finfo(dtype).smallest_normal).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("path", PATHS)
def test_backward_is_the_adjoint(path, layout):
    f, up, down, padding = PATHS[path]
    x = torch.randn(2, 5, 13, 35, dtype=torch.float64).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
    with use("cpu"):
        y = upfirdn2d(x, f, up, down, padding)
        g = torch.randn_like(y)
        (back,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close((y * g).sum(), (x * back).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("path", ["down2", "down2, adjoint", "filter"])
def test_what_is_not_finite_stays_where_the_filter_reaches(path, dtype):
    f, up, down, padding = PATHS[path]
    x = torch.ones(1, 2, 9, 40, dtype=dtype)
    x[0, 0, 4, 20], x[0, 1, 0, 0], x[0, 1, 8, 39] = float("nan"), float("inf"), float("-inf")
    y, own, _ = on_both(x, f, up, down, padding)
    torch.testing.assert_close(y, own, rtol=0, atol=0.01, equal_nan=True)
    last = on_both(x.contiguous(memory_format=torch.channels_last), f, up, down, padding)[0]
    torch.testing.assert_close(last, own, rtol=0, atol=0.01, equal_nan=True)


@pytest.mark.parametrize("path", ["down2", "down2, adjoint", "filter", "twelve taps up"])
def test_strided_inputs(path):
    f, up, down, padding = PATHS[path]
    whole = torch.randn(3, 12, 24, 50)
    for x in (whole[:, 1::2], whole[:, :, 3:20, 5:44], whole[1:, :, ::2, ::3], whole.transpose(2, 3)):
        y, _, exact = on_both(x, f, up, down, padding)
        torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("path", PATHS)
def test_the_result_does_not_depend_on_the_number_of_threads(path, layout):
    f, up, down, padding = PATHS[path]
    x = torch.randn(3, 21, 45, 67).contiguous(memory_format=LAYOUTS[layout])
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            with use("cpu"):
                results.append(upfirdn2d(x, f, up, down, padding))
        finally:
            torch.set_num_threads(1)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
