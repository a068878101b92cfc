"""bias_act: bias, leaky ReLU and gain in one pass, beside the same as separate operations."""

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


def stock(x: Tensor, b: Tensor) -> Tensor:
    """As few and as cheap stock operations as do it: the last two work in place where nothing has to be kept."""
    if torch.is_grad_enabled():
        return F.leaky_relu(x + b.view(1, -1, 1, 1), 0.2) * 2**0.5
    return F.leaky_relu_(x + b.view(1, -1, 1, 1), 0.2).mul_(2**0.5)


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_and_leaky_relu(
    dtype: str, layout: str, passes: str, contest: Callable[..., None], device: torch.device
) -> None:
    if device.type == "cpu" and dtype == "fp16":
        pytest.skip("bf16 stands for both on a CPU")
    shape = (2, 8, 16, 16) if TINY else SHAPES[device.type]
    x = torch.randn(shape, device=device, dtype=DTYPES[dtype]).contiguous(memory_format=LAYOUTS[layout])
    b = torch.randn(shape[1], device=device, dtype=DTYPES[dtype])
    row = Row("bias_act", "lrelu", dtype, layout, passes)
    ways = {
        "ours": lambda x, b: ops.bias_act(x, b, act="lrelu"),
        "stylegan": stylegan_form.bias_lrelu,
        "stock": stock,
    }
    if row.compiles():
        ways["compiled"] = stylegan_form.bias_lrelu
    # forward: x read, y written; backward: the gradient and y read, the gradient of x written
    moved = x.numel() * x.element_size() * (2 if passes == "forward" else 5)
    contest(row, [x.requires_grad_(), b.requires_grad_()], ways, moved)
