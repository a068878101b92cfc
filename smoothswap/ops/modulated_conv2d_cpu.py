"""modulated_conv2d and scaled_conv2d on the CPU: Winograd's algorithm in C++, or oneDNN between two passes.

Both ways compute y = clamp(gain · φ(after · C(before · x, w) + noise + bias)):

    winograd    3 × 3 kernels without resampling (csrc/cpu/winograd_kernel.cpp): one op, all of it in its transforms
    general     everything else: x · before in one pass, PyTorch's convolution with our FIR steps, the rest in one pass
                (csrc/cpu/modulated_conv2d_kernel.cpp)

Error of Winograd's algorithm against fp64, as a share of the result's root mean square: 4e-7 at 3 input channels to
1.4e-6 at 256, where oneDNN's convolution has 1e-7 to 9e-7. An infinity or a NaN reaches the whole 4 × 4 tile of the
result. The number of threads changes no bit of what our kernels compute. It may change the last ones of the
demodulation and of the general way's convolution, whose sums the BLAS library and oneDNN order as they like on each
processor. torch.use_deterministic_algorithms needs no other kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.conv2d_weight_gradient import reference as weight_gradient
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.modulated_conv2d_gradient import demodulation
from smoothswap.ops.resampled_conv import Plan, plan

Activation = tuple[float, float, float]  # slope below zero, gain, clamp; a clamp below zero is none
_LINEAR: Activation = (1.0, 1.0, -1.0)


def winograd_serves(x: Tensor, weight: Tensor, height: int, width: int) -> bool:
    """Whether Winograd's algorithm is the quicker way to a result of height × width.

    Measured on two cores with AVX-512, both layouts, against the general way: from 64 tiles on mostly 1.3 to 2.7 times
    as quick with 16 to 256 channels, 1.1 to 1.8 times with 512; with 128 and more channels slower (0.4 to 1.0) at 4 and
    16 tiles, which do not repay the transform of the weights. Fewer than 8 channels fill no vector, and oneDNN is more
    exact there.

    Args:
        x: [N, I, H, W].
        weight: [O, I, kh, kw].
        height: of the result.
        width: of the result.
    """
    outputs, channels, *taps = weight.shape
    tiles = x.shape[0] * -(-height // 4) * -(-width // 4)
    return (
        x.dtype != torch.float64
        and taps == [3, 3]
        and min(outputs, channels) >= 8
        and (tiles >= 32 or outputs * channels <= 64 * 64)
    )


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
    """The arguments of modulated_conv2d."""
    wide = arithmetic(x.dtype)
    steps = plan(weight, up, down, padding, resample_filter)
    size = steps.output_size(x.shape[2], x.shape[3])
    if 0 in (x.shape[0], weight.shape[0]):
        return _result(x, weight.shape[0], size)
    s, d = styles.to(wide), None
    with without_autocast(x):
        if demodulate:
            d = demodulation(weight.to(wide), s)
        activation = ({"linear": 1.0, "relu": 0.0, "lrelu": alpha}[act], gain, clamp)
        noise = None if noise is None else noise.expand([x.shape[0], weight.shape[0], *size])
        bias = None if bias is None else bias.to(wide)
        if up == down == 1 and winograd_serves(x, weight, *size):
            y = _result(x, weight.shape[0], size)
            return _winograd(y, x, weight, s, d, padding, False, not flip_weight, noise, bias, activation)
        kernel = weight if flip_weight else weight.flip([2, 3])
        return _general(x, kernel, s, d, steps, noise, bias, activation)


def run_scaled(
    x: Tensor, weight: Tensor, before: Tensor | None, after: Tensor | None, padding: Sequence[int], adjoint: bool
) -> Tensor:
    """The arguments of scaled_conv2d."""
    kernel = weight.transpose(0, 1).flip([2, 3]) if adjoint else weight
    steps = plan(kernel, 1, 1, padding, None)
    size = steps.output_size(x.shape[2], x.shape[3])
    if 0 in (x.shape[0], kernel.shape[0]):
        return _result(x, kernel.shape[0], size)
    if winograd_serves(x, kernel, *size):
        y = _result(x, kernel.shape[0], size)
        return _winograd(y, x, weight, before, after, padding, adjoint, adjoint)
    with without_autocast(x):
        return _general(x, kernel, before, after, steps)


def _result(x: Tensor, channels: int, size: Sequence[int]) -> Tensor:
    return torch.empty([x.shape[0], channels, *size], dtype=x.dtype, memory_format=memory_format(x))


def _winograd(
    y: Tensor,
    x: Tensor,
    weight: Tensor,
    before: Tensor | None,
    after: Tensor | None,
    padding: Sequence[int],
    exchanged: bool,
    reverse: bool,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: Activation = _LINEAR,
) -> Tensor:
    """Fills y [N, O, H', W'] from x [N, I, H, W] and weight [O, I, 3, 3], or [I, O, 3, 3] where exchanged."""
    # x says how both lie in memory: y has that layout, but with one channel or pixel it no longer shows.
    native, layout = torch.ops.smoothswap_native, memory_format(x)
    x, weight = x.contiguous(memory_format=layout), weight.contiguous()
    before, after, bias = (None if t is None else t.contiguous() for t in (before, after, bias))
    space = torch.empty(native.winograd_space(x.shape[1], y.shape[1]) + 16, dtype=torch.float32)
    left, _, top, _ = padding
    native.winograd(
        *(x, weight, before, after, noise, bias, y, space, top, left, exchanged, reverse),
        *(*activation, layout == torch.channels_last),
    )
    return y


def _general(
    x: Tensor,
    kernel: Tensor,
    before: Tensor | None,
    after: Tensor | None,
    steps: Plan,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: Activation = _LINEAR,
) -> Tensor:
    """[N, O, H', W'] from x [N, I, H, W] and kernel [O, I, kh, kw], as it is correlated."""
    native, layout, wide = torch.ops.smoothswap_native, memory_format(x), arithmetic(x.dtype)
    channels_last = layout == torch.channels_last
    x = x.contiguous(memory_format=layout)
    if before is None:
        scaled = x.to(wide)
    else:
        scaled = torch.empty_like(x, dtype=wide, memory_format=layout)
        native.scale_channels(x, before.contiguous(), scaled, channels_last)
    u = steps.forward(scaled, kernel.to(wide)).contiguous(memory_format=layout)
    if after is noise is bias is None and activation == _LINEAR:
        return u.to(x.dtype)
    after, bias = (None if t is None else t.contiguous() for t in (after, bias))
    y = u if u.dtype == x.dtype else torch.empty_like(u, dtype=x.dtype, memory_format=layout)
    native.epilogue(u, after, noise, bias, y, *activation, channels_last)
    return y


def run_head(
    g: Tensor, y: Tensor, noise: Tensor | None, d: Tensor | None, act: str, alpha: float, gain: float, clamp: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arguments of modulated_conv2d_head."""
    layout = memory_format(y)
    g, y = g.contiguous(memory_format=layout), y.contiguous(memory_format=layout)
    N, O, H, W = y.shape
    rows = max(1, 4096 // max(1, W))  # of a part whose sums are kept apart, so that threads do not change them
    sums = y.new_zeros([2, N, -(-H // rows), O])
    h = torch.empty_like(y, memory_format=layout)
    total = y.new_zeros([N, 1, H, W])
    noise = None if noise is None else noise.expand(total.shape)
    slope = {"linear": 1.0, "relu": 0.0, "lrelu": alpha}[act]
    if y.numel() > 0:
        d = None if d is None else d.contiguous()
        torch.ops.smoothswap_native.modulated_conv2d_head(
            g, y, noise, d, h, sums, total, rows, slope, gain, clamp, layout == torch.channels_last
        )
    return h, sums[0].sum(1), sums[1].sum(1), total


def _head_objection(*tensors: Tensor | None) -> str | None:
    if tensors and tensors[0] is not None and tensors[0].dtype != torch.float32:
        return f"the cpu kernel takes float32, not {tensors[0].dtype}"
    return None


backend.attach(
    "modulated_conv2d_head", "cpu", run_head, _head_objection, "fp32, in which 16-bit gradients are computed"
)
backend.attach("modulated_conv2d", "cpu", run)
backend.attach("scaled_conv2d", "cpu", run_scaled)
backend.attach("conv2d_weight_gradient", "cpu", weight_gradient, limits="PyTorch's convolution in all cases")
