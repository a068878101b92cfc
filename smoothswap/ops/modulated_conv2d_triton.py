"""modulated_conv2d in Triton (conv2d_triton_kernels): one kernel from x to the activated result at one resolution.

Where FIR filters stand before or after the convolution they are upfirdn2d's; a transposed convolution is one small
correlation for each phase of its result, and what follows its filter is one pass of bias_act.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.conv2d_triton import channels_last, correlate, empty_result, objection, taps_of, transposed
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.modulated_conv2d_gradient import demodulation
from smoothswap.ops.resampled_conv import Plan, plan
from smoothswap.ops.triton_runtime import widened


@widened
def run(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None,
    up: int,
    down: int,
    padding: Sequence[int],
    resample_filter: Tensor | None,
    demodulate: bool,
    flip_weight: bool,
    bias: Tensor | None,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> Tensor:
    """The op's arguments; x [N, I, H, W]."""
    with without_autocast(x):
        wide, layout = arithmetic(x.dtype), memory_format(x)
        before = styles.contiguous()
        after = demodulation(weight.to(wide), styles.to(wide)) if demodulate else None
        epilogue = {"act": act, "alpha": alpha, "gain": gain, "clamp": clamp}
        bias = None if bias is None else bias.contiguous()
        taps = taps_of(weight if flip_weight else weight.flip([2, 3]))
        if up == down == 1:
            left, right, top, bottom = padding
            height, width = x.shape[2] + top + bottom - taps.shape[0] + 1, x.shape[3] + left + right - taps.shape[1] + 1
            y = empty_result(x, taps.shape[2], height, width)
            rest: dict[str, Any] = {"noise": noise, "bias": bias, **epilogue}
            correlate(channels_last(x), taps, y, (left, top), before=before, after=after, **rest)
            return y
        steps = plan(weight, up, down, padding, resample_filter)
        y = _resampled(channels_last(x), taps, steps, before, after)
        if noise is not None:
            y = y + noise
        y = y.contiguous(memory_format=layout)
        if bias is None and act == "linear" and gain == 1 and clamp < 0:
            return y
        return torch.ops.smoothswap.bias_act(y, bias, 1, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _resampled(x: Tensor, taps: Tensor, steps: Plan, before: Tensor, after: Tensor | None) -> Tensor:
    """FIR, convolution, FIR: x [N, I, H, W], taps [kh, kw, O, I] to [N, O, H', W'], channels_last."""
    if steps.before is not None:
        x = steps.before.forward(x)
    size = Plan(None, steps.stride, steps.transposed, steps.padding, None, steps.taps).output_size(*x.shape[2:])
    y = empty_result(x, taps.shape[2], *size)
    pad_y, pad_x = steps.padding
    if steps.transposed:
        around = steps.taps[1] - 1 - pad_x, steps.taps[0] - 1 - pad_y
        transposed(x, taps, y, around, steps.stride, before=before, after=after)
    else:
        correlate(x, taps, y, (pad_x, pad_y), stride=steps.stride, before=before, after=after)
    return y if steps.after is None else steps.after.forward(y)


def _objection(*tensors: Tensor | None, act: str = "linear", **options: Any) -> str | None:
    return objection(tensors[0] if tensors else None)


backend.attach("modulated_conv2d", "triton", run, _objection)
