"""upfirdn2d with the [1, 3, 3, 1] filter: halving, doubling, filtering, and what a small call costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from benchmarks import stylegan_form
from benchmarks.conftest import DTYPES, LAYOUTS, PASSES, TINY, Row
from torch import Tensor

from smoothswap import ops

SHAPES = {"cpu": (8, 64, 128, 128), "cuda": (16, 64, 256, 256)}
# up, down, padding, gain
CASES = {
    "down2": (1, 2, (1, 1, 1, 1), 1.0),
    "up2": (2, 1, (2, 1, 2, 1), 4.0),
    "filter": (1, 1, (2, 1, 2, 1), 1.0),
}


def stock(case: str, x: Tensor, f: Tensor) -> Tensor:
    """The one stock op that gives the case: a depthwise convolution or transposed convolution; f is symmetric."""
    taps = (f * CASES[case][3]).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    if case == "up2":
        return F.conv_transpose2d(x, taps, stride=2, padding=1, groups=x.shape[1])
    if case == "down2":
        return F.conv2d(x, taps, stride=2, padding=1, groups=x.shape[1])
    return F.conv2d(x, taps, padding=2, groups=x.shape[1])[:, :, :-1, :-1]  # padding (2, 1): a view, no pass of its own


def stock_padded(x: Tensor, f: Tensor) -> Tensor:
    """The other way to padding (2, 1) for "filter": it costs a pass forward and saves one backward."""
    return F.conv2d(F.pad(x, [2, 1, 2, 1]), f.to(x.dtype).expand(x.shape[1], 1, -1, -1), groups=x.shape[1])


def ways(case: str, f: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    up, down, padding, gain = CASES[case]

    def plain(x: Tensor) -> Tensor:
        return stylegan_form.upfirdn2d(x, f, up, down, padding, gain)

    found: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": lambda x: ops.upfirdn2d(x, f, up, down, padding, gain=gain),
        "stylegan": plain,
        "stock": lambda x: stock(case, x, f),
        "compiled": plain,
    }
    if case == "filter":
        found["stock padded"] = lambda x: stock_padded(x, f)
    return found


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_resampling(
    dtype: str, layout: str, case: str, passes: str, contest: Callable[..., None], device: torch.device
) -> None:
    if device.type == "cpu" and (dtype == "fp16" or (dtype, layout, passes) in SLOW_ON_CPU):
        pytest.skip("PyTorch's own low-precision convolutions take seconds on a CPU; bf16 forward is measured")
    shape = (2, 8, 16, 16) if TINY else SHAPES[device.type]
    x = torch.randn(shape, device=device, dtype=DTYPES[dtype]).contiguous(memory_format=LAYOUTS[layout])
    f = ops.setup_filter([1, 3, 3, 1], device=device)
    up, down, *_ = CASES[case]
    once = x.numel() * x.element_size() * (1 + up**2 / down**2)
    row = Row("upfirdn2d", case, dtype, layout, passes)
    contestants = ways(case, f)
    if not row.compiles():
        del contestants["compiled"]
    contest(row, [x.requires_grad_()], contestants, int(once * (1 if passes == "forward" else 2)))


SLOW_ON_CPU = {("bf16", layout, passes) for layout in LAYOUTS for passes in PASSES} - {("bf16", "nchw", "forward")}


@pytest.mark.parametrize("passes", PASSES)
def test_small_call(passes: str, contest: Callable[..., None], device: torch.device) -> None:
    """[1, 8, 8, 8]: the call itself, since there is next to nothing to compute; ms of one call."""
    x = torch.randn(1, 8, 8, 8, device=device, requires_grad=True)
    contestants = ways("down2", ops.setup_filter([1, 3, 3, 1], device=device))
    del contestants["compiled"]
    row = Row("upfirdn2d", "small call", passes=passes)
    contest(row, [x], contestants, x.numel() * 5, repeat=2 if TINY else 50)
