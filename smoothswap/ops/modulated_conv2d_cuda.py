"""modulated_conv2d and scaled_conv2d on a GPU: PyTorch's convolution between two fused passes (csrc/cuda/modulate.cu).

The first multiplies the styles onto x, the second applies demodulation, noise, bias, activation, gain and clamp.
For the weight's gradient the first pass scales both tensors, and there is no second.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops import backend, native_cuda
from smoothswap.ops.conv2d_weight_gradient import of_scaled
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.modulated_conv2d_gradient import demodulation
from smoothswap.ops.resampled_conv import plan

_SLOPE = {"linear": 1.0, "relu": 0.0}


def modulate(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    act: str = "linear",
    alpha: float = 0.0,
    gain: float = 1.0,
    clamp: float = -1.0,
    *,
    in_place: bool = False,
) -> Tensor:
    """clamp(gain · φ(scale · x + noise + bias)); with in_place x is lost.

    Args:
        x: [N, C, H, W].
        scale: [N, C] in `arithmetic(x.dtype)`, or None.
        noise: broadcasts to x's shape, x's dtype, or None.
        bias: [C], x's dtype, or None.
        act: linear, relu or lrelu, with slope alpha.
        alpha: as in bias_act.
        gain: as in bias_act.
        clamp: as in bias_act, < 0 for none.
        in_place: the result may overwrite x.
    """
    layout = memory_format(x)
    dense = x.contiguous(memory_format=layout)
    y = dense if in_place or dense is not x else torch.empty_like(dense)
    if x.numel() > 0:
        scale = None if scale is None else scale.contiguous()
        noise = None if noise is None else noise.expand(x.shape)
        bias = None if bias is None else bias.contiguous()
        channels_last = layout == torch.channels_last
        native_cuda.ops().modulate(dense, y, scale, noise, bias, _SLOPE.get(act, alpha), gain, clamp, channels_last)
    return y


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
    """The op's arguments; x [N, I, H, W], weight [O, I, kh, kw], styles [N, I], bias [O]."""
    with without_autocast(x):
        wide, layout = arithmetic(x.dtype), memory_format(x)
        s = styles.to(wide)
        kernel = weight if flip_weight else weight.flip([2, 3])
        if layout == torch.channels_last:
            kernel = kernel.contiguous(memory_format=layout)
        steps = plan(weight, up, down, padding, resample_filter)
        y = steps.forward(modulate(x, s), kernel).contiguous(memory_format=layout)
        d = demodulation(weight.to(wide), s) if demodulate else None
        return modulate(y, d, noise, bias, act, alpha, gain, clamp, in_place=True)


def run_scaled(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    """The arguments of `scaled_conv2d`; x [N, I, H, W], weight [O, I, kh, kw], before [N, I], after [N, O]."""
    with without_autocast(x):
        layout = memory_format(x)
        left, right, top, bottom = padding
        y, pads = x if before is None else modulate(x, before), (top, left)
        if left != right or top != bottom or left < 0 or top < 0:
            y, pads = F.pad(y, list(padding)), (0, 0)
        kernel = weight.transpose(0, 1).flip([2, 3]) if adjoint else weight
        y = F.conv2d(y, kernel.contiguous(memory_format=layout), padding=pads).contiguous(memory_format=layout)
        return y if after is None else modulate(y, after, in_place=True)


def run_weight_gradient(
    x: Tensor, before: Tensor | None, g: Tensor, after: Tensor | None, taps: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """The arguments of `conv2d_weight_gradient`; x [N, I, H, W], before [N, I], g [N, O, H', W'], after [N, O]."""
    with without_autocast(x):
        x, g = (t if scale is None else modulate(t, scale) for t, scale in ((x, before), (g, after)))
        return of_scaled(x, g, taps, padding)


def _objection(*tensors: Tensor | None, **options: object) -> str | None:
    return native_cuda.device_objection(*tensors)


backend.attach("modulated_conv2d", "cuda", run, _objection)
backend.attach("scaled_conv2d", "cuda", run_scaled, _objection)
backend.attach("conv2d_weight_gradient", "cuda", run_weight_gradient, _objection)
