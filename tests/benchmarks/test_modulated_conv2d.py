"""modulated_conv2d 3 × 3 with noise, bias and leaky ReLU, beside both of StyleGAN's modes and a bare convolution."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from benchmarks import stylegan_form
from benchmarks.conftest import DTYPES, LAYOUTS, PASSES, TINY, Row
from torch import Tensor

from smoothswap import ops

# [N, I, H, W] and O
CASES = {
    "cpu": {"A": ((8, 256, 32, 32), 256), "B": ((4, 64, 128, 128), 64)},
    "cuda": {
        "32²": ((16, 512, 32, 32), 512),
        "64²": ((16, 512, 64, 64), 512),
        "128²": ((16, 256, 128, 128), 256),
        "256²": ((16, 128, 256, 256), 128),
    },
}


def ours(x: Tensor, weight: Tensor, styles: Tensor, noise: Tensor, b: Tensor) -> Tensor:
    """x [N, I, H, W], weight [O, I, 3, 3], styles [N, I], noise [N, 1, H, W], b [O] → [N, O, H, W]."""
    return ops.modulated_conv2d(x, weight, styles, noise, padding=1, bias=b, act="lrelu")


def _cases() -> list[tuple[str, str]]:
    return [(kind, case) for kind, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize(("kind", "case"), _cases(), ids=lambda value: value)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_convolution(
    dtype: str, layout: str, kind: str, case: str, passes: str, contest: Callable[..., None], device: torch.device
) -> None:
    if kind != device.type:
        pytest.skip(f"a case for {kind}")
    if (device.type, dtype) == ("cpu", "bf16"):
        pytest.skip("PyTorch's own bf16 convolutions take seconds on a CPU without instructions for it")
    if (device.type, dtype, case) in {("cuda", "fp32", "32²"), ("cuda", "fp32", "128²"), ("cuda", "fp32", "256²")}:
        pytest.skip("bf16 is what is trained with; fp32 (TF32 in cuDNN) is measured at 64²")
    (N, I, H, W), O = ((2, 8, 8, 8), 8) if TINY else CASES[kind][case]
    made = {"device": device, "dtype": DTYPES[dtype]}
    x = torch.randn(N, I, H, W, **made).contiguous(memory_format=LAYOUTS[layout])
    weight = (torch.randn(O, I, 3, 3, **made) / (9 * I) ** 0.5).contiguous(memory_format=LAYOUTS[layout])
    styles, noise, b = torch.rand(N, I, **made) + 0.5, torch.randn(N, 1, H, W, **made), torch.randn(O, **made)
    inputs = [x.requires_grad_(), weight.requires_grad_(), styles.requires_grad_(), noise, b.requires_grad_()]
    ways: dict[str, Callable[..., Tensor]] = {
        "ours": ours,
        "stylegan fused": stylegan_form.modulated_fused,
        "stylegan scaled": stylegan_form.modulated_scaled,
    }
    row = Row("modulated_conv2d", f"{case} [{N}, {I}, {H}, {W}] → {O}", dtype, layout, passes)
    if row.compiles() or (device.type, layout) == ("cuda", "nchw"):
        ways["compiled"] = stylegan_form.modulated_scaled
    # forward: x read, y written; backward: the gradient, y and x read, the gradient of x written
    moved = (x.numel() + N * O * H * W) * x.element_size() * (1 if passes == "forward" else 3)
    contest(row, inputs, ways, moved, bounds={"conv2d alone": lambda x, weight, *_: F.conv2d(x, weight, padding=1)})
