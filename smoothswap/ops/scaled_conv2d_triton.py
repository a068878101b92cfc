"""scaled_conv2d in Triton (conv2d_triton_kernels): the scales meet tiles, never a whole tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.conv2d_triton import channels_last, correlate, empty_result, objection, taps_of
from smoothswap.ops.triton_runtime import widened


@widened
def run(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    """The op's arguments; x [N, I, H, W], or [N, O, H, W] for the adjoint."""
    left, right, top, bottom = padding
    kh, kw = weight.shape[2:]
    y = empty_result(
        x, weight.shape[1 if adjoint else 0], x.shape[2] + top + bottom - kh + 1, x.shape[3] + left + right - kw + 1
    )
    before, after = (None if t is None else t.contiguous() for t in (before, after))
    correlate(channels_last(x), taps_of(weight.to(x.dtype), adjoint), y, (left, top), before=before, after=after)
    return y


def _objection(*tensors: Tensor | None, **options: Any) -> str | None:
    return objection(tensors[0] if tensors else None)


backend.attach("scaled_conv2d", "triton", run, _objection)
