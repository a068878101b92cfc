"""group_norm_act: group normalisation and SiLU in one op, beside stock PyTorch's two."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from benchmarks.conftest import LAYOUTS, PASSES, TINY, Row
from torch import Tensor

from smoothswap import ops

EPS = 1e-6
# [N, C, H, W] and groups, as the generators have them: four channels in each group
CASES = {
    "cpu": {"64 px": ((8, 64, 64, 64), 16), "256 px": ((1, 128, 256, 256), 32)},
    "cuda": {"64 px": ((64, 64, 64, 64), 16), "256 px": ((16, 128, 256, 256), 32)},
}


def _cases() -> list[tuple[str, str]]:
    return [(kind, case) for kind, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize(("kind", "case"), _cases(), ids=lambda value: value)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_group_norm_and_silu(
    layout: str, kind: str, case: str, passes: str, contest: Callable[..., None], device: torch.device
) -> None:
    if kind != device.type:
        pytest.skip(f"a case for {kind}")
    shape, groups = ((2, 8, 8, 8), 2) if TINY else CASES[kind][case]
    x = torch.randn(shape, device=device).contiguous(memory_format=LAYOUTS[layout])
    weight, bias = (torch.randn(shape[1], device=device) for _ in range(2))

    def ours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ops.group_norm_act(x, groups, weight, bias, EPS, "swish")

    def stock(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        v = F.group_norm(x, groups, weight, bias, EPS)
        return F.silu(v, inplace=not torch.is_grad_enabled())

    row = Row("group_norm_act", f"swish {list(shape)} in {groups}", "fp32", layout, passes)
    ways = {"ours": ours, "stock": stock}
    if row.compiles() and case == "64 px":
        ways["compiled"] = stock
    # forward: x read, y written; backward: the gradient and x read, the gradient of x written; the second reading,
    # after the sums, is not compulsory: a group may still be in the cache
    moved = x.numel() * x.element_size() * (2 if passes == "forward" else 5)
    contest(row, [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()], ways, moved)
