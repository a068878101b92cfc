"""conv2d_weight_gradient in Triton (conv2d_triton_kernels): the scales meet sums of samples, never a whole tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.conv2d_triton import channels_last, objection, weight_gradient
from smoothswap.ops.layout import memory_format
from smoothswap.ops.triton_runtime import interpreted


def run(
    x: Tensor, before: Tensor | None, g: Tensor, after: Tensor | None, taps: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """The op's arguments; x [N, I, H, W], before [N, I], g [N, O, H', W'], after [N, O]."""
    layout = memory_format(x)
    if interpreted() and x.dtype == torch.bfloat16:  # whose bits the interpreter multiplies
        x, g = x.float(), g.float()
    before, after = (None if t is None else t.contiguous() for t in (before, after))
    left, _, top, _ = padding
    sums = weight_gradient(channels_last(x), channels_last(g), before, after, (left, top), taps)
    return sums.contiguous(memory_format=layout)


def _objection(*tensors: Tensor | None, **options: Any) -> str | None:
    return objection(tensors[0] if tensors else None)


backend.attach("conv2d_weight_gradient", "triton", run, _objection)
