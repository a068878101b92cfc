"""modulated_conv2d: a convolution whose weights are scaled per sample by a style, and normalised (StyleGAN2).

With weight w [O, I, k, k] and style s [N, I], StyleGAN2 convolves sample n with w'_noi = w_oi·s_ni / ‖w_o·s_n‖. Since a
convolution is linear in its input, the same numbers come without ever building [N, O, I, k, k]:

    u = R(x·s, w)            R: convolution with resampling (FIR), see resampled_conv
    d_no = (Σ_i s_ni² Σ_k w_oik² + ε)^(−1/2)
    v = d·u + noise + b
    y = clamp(γ·φ(v), −c, c)  γ: gain; φ: linear, relu or lrelu

The gradient is in modulated_conv2d_gradient. Names and defaults follow StyleGAN2 (Karras et al., 2020); the code is
written from the equations above.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.bias_act import reference as bias_act_reference
from smoothswap.ops.bias_act import settings
from smoothswap.ops.define import define, for_onnx
from smoothswap.ops.layout import arithmetic, autocasts, memory_format, without_autocast
from smoothswap.ops.modulated_conv2d_gradient import backward, demodulation, setup
from smoothswap.ops.resampled_conv import plan
from smoothswap.ops.upfirdn2d import check_filter

INSIDE = ("linear", "relu", "lrelu")  # activations of the op itself; bias_act follows for the others


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    fused_modconv: bool = True,
    *,
    bias: Tensor | None = None,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Convolves each sample with weights scaled by its style; adds noise and bias, applies an activation.

    Args:
        x: [N, I, H, W]; fp64, fp32, bf16 or fp16 (demodulation, and on the CPU everything, in fp32); N may be 0.
        weight: [O, I, kh, kw].
        styles: [N, I], factors on the input channels.
        noise: added to the result, broadcast to [N, O, H', W']; None: nothing.
        up: integer factor by which the image grows, with `resample_filter`.
        down: integer factor by which it shrinks, with `resample_filter`.
        padding: pixels around the upsampled image: p, [x, y] or [left, right, top, bottom].
        resample_filter: low-pass filter [K] or [Kh, Kw] for up and down, from `setup_filter`; None: none.
        demodulate: scale each output channel's weights to unit norm.
        flip_weight: True correlates, as torch.nn.functional.conv2d does; False convolves.
        fused_modconv: accepted for compatibility. The result does not depend on it: the style always goes onto the
            activations, which needs no weights per sample.
        bias: [O], added after the noise. None: nothing.
        act: activation after the bias, one of `bias_act`'s; the default leaves the sum as it is.
        alpha: slope of lrelu below zero; None: 0.2.
        gain: factor on the activation; None: `bias_act`'s, √2 for relu, lrelu and swish, else 1.
        clamp: limit ≥ 0 on the magnitude of the result, after the gain; None: no limit.

    Returns:
        [N, O, H', W'], x's dtype and memory format. Under autocast all tensors are converted to its dtype.

    Raises:
        ArgumentError: shapes, dtypes or devices that do not fit, factors below 1, an empty result, an unknown act,
            a number that is not finite.
        BackendError: a kernel was asked for by name and cannot run.
    """
    op = "modulated_conv2d"
    for name, tensor in (("x", x), ("weight", weight), ("styles", styles)):
        checks.floating(op, name, tensor)
        checks.same_device(op, "x", x, name, tensor)
    checks.rank(op, "x", x, [4], "[N, I, H, W]")
    checks.rank(op, "weight", weight, [4], "[O, I, kh, kw]")
    if weight.shape[1] != x.shape[1]:
        raise ArgumentError(
            f"{op}: weight takes {weight.shape[1]} input channels, expected {x.shape[1]} as dimension 1 of x",
            f"x: {checks.about(x)}",
            f"weight: {checks.about(weight)}",
        )
    checks.shape(op, "styles", styles, x.shape[:2], f"one factor for each sample and channel of x: {checks.about(x)}")
    alpha, gain, clamp = settings(op, act, alpha, gain, clamp)
    if autocasts(x) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, styles = x.to(dtype), weight.to(dtype), styles.to(dtype)
        noise = None if noise is None else noise.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    checks.same_dtype(op, "x", x, "weight", weight)
    checks.same_dtype(op, "x", x, "styles", styles)
    up, down = checks.count(op, "up", up), checks.count(op, "down", down)
    pads = checks.padding4(op, padding)
    if resample_filter is not None:
        check_filter(op, x, resample_filter, "resample_filter")
    size = plan(weight, up, down, pads, resample_filter).output_size(x.shape[2], x.shape[3])
    if min(size) < 1:
        raise ArgumentError(
            f"{op}: nothing is left of x: the padded image is smaller than the kernel or the filter",
            f"x: {checks.about(x)}",
            f"weight: {checks.about(weight)}",
            f"up {up}, down {down}, padding {list(pads)}",
            hint="Use a larger image or more padding.",
        )
    if noise is not None:
        _check_noise(x, noise, (x.shape[0], weight.shape[0], *size))
    if bias is not None:
        checks.floating(op, "bias", bias)
        checks.shape(op, "bias", bias, weight.shape[:1], f"one value for each output channel: {checks.about(weight)}")
        checks.same_device(op, "x", x, "bias", bias)
        checks.same_dtype(op, "x", x, "bias", bias)
    convolution = (x, weight, styles, noise, up, down, pads, resample_filter, bool(demodulate), bool(flip_weight))
    if for_onnx():
        return reference(*convolution, bias, act, alpha, gain, clamp)
    # The op's gradient reads φ' from y, which neither a gain of zero nor a negative slope leaves possible.
    if act in INSIDE and gain != 0 and alpha >= 0:
        y = torch.ops.smoothswap.modulated_conv2d(*convolution, bias, act, alpha, gain, clamp)
    else:
        y = torch.ops.smoothswap.modulated_conv2d(*convolution, None, "linear", 0.0, 1.0, -1.0)
        y = torch.ops.smoothswap.bias_act(y, bias, 1, act, alpha, gain, clamp)
    return y  # type: ignore[no-any-return]


def _check_noise(x: Tensor, noise: Tensor, result: tuple[int, ...]) -> None:
    checks.floating("modulated_conv2d", "noise", noise)
    checks.same_device("modulated_conv2d", "x", x, "noise", noise)
    checks.same_dtype("modulated_conv2d", "x", x, "noise", noise)
    tail = result[len(result) - noise.ndim :] if noise.ndim <= 4 else ()
    if noise.ndim > 4 or any(n not in (1, r) for n, r in zip(noise.shape, tail, strict=True)):
        raise ArgumentError(
            f"modulated_conv2d: noise has shape {list(noise.shape)}, expected what broadcasts to {list(result)}",
            f"noise: {checks.about(noise)}",
        )


def reference(
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
    """The op in stock PyTorch; noise broadcasts to the result, bias [O], clamp < 0 for none."""
    with without_autocast(x):
        # A CPU has no quick low-precision convolution; a GPU accumulates in fp32 by itself.
        wide = arithmetic(x.dtype)
        work = wide if x.device.type == "cpu" else x.dtype
        kernel = (weight if flip_weight else weight.flip([2, 3])).to(work)
        steps = plan(weight, up, down, padding, resample_filter)
        y = steps.forward(x.to(work) * styles.to(work)[:, :, None, None], kernel)
        if demodulate:
            y = y * demodulation(weight.to(wide), styles.to(wide)).to(work)[:, :, None, None]
        if noise is not None:
            y = y + noise.to(work)
        if bias is not None or act != "linear" or gain != 1 or clamp >= 0:
            y = bias_act_reference(y, None if bias is None else bias.to(work), 1, act, alpha, gain, clamp)
        return y.to(x.dtype).contiguous(memory_format=memory_format(x))


def _run(
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
    tensors = (x, weight, styles, noise, resample_filter, bias)
    kernel = backend.choose("modulated_conv2d", *tensors, up=up, down=down, padding=padding, act=act)
    return kernel(  # type: ignore[no-any-return]
        *(x, weight, styles, noise, up, down, padding, resample_filter, demodulate, flip_weight),
        *(bias, act, alpha, gain, clamp),
    )


def _fake(
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
    size = plan(weight, up, down, padding, resample_filter).output_size(x.shape[2], x.shape[3])
    return torch.empty(
        [x.shape[0], weight.shape[0], *size], dtype=x.dtype, device=x.device, memory_format=memory_format(x)
    )


define(
    "modulated_conv2d",
    "(Tensor x, Tensor weight, Tensor styles, Tensor? noise, int up, int down, int[4] padding, "
    "Tensor? resample_filter, bool demodulate, bool flip_weight, Tensor? bias, str act, float alpha, float gain, "
    "float clamp) -> Tensor",
    run=_run,
    fake=_fake,
    setup=setup,
    backward=backward,
    composed=reference,
)
backend.attach("modulated_conv2d", "reference", reference)
