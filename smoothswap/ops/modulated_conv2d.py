"""modulated_conv2d: a convolution whose weights are scaled per sample by a style, and normalised (StyleGAN2).

With weight w [O, I, k, k] and style s [N, I], StyleGAN2 convolves sample n with w'_noi = w_oi·s_ni / ‖w_o·s_n‖. Since a
convolution is linear in its input, the same numbers come without ever building [N, O, I, k, k]:

    u = R(x·s, w)            R: convolution with resampling (FIR), see resampled_conv
    d_no = (Σ_i s_ni² Σ_k w_oik² + ε)^(−1/2)
    y = d·u + noise

Backward, g being the gradient of y, and Rx', Rw' the adjoints of R in its two arguments:

    gx = s·Rx'(d·g, w)       gs = Σ_hw x·Rx'(d·g, w) + 2 s·(q w²)        gw = Rw'(x·s, d·g) + 2 w·(qᵀ s²)
    q_no = −½ d_no² Σ_hw g·(y − noise)                                    (Σ_hw g·u·∂d/∂(d⁻²), with u = (y − noise)/d)

All of it in differentiable ops, so that second derivatives are exact. Names and defaults follow StyleGAN2 (Karras et
al., 2020); the code is written from the equations above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.define import define
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.resampled_conv import Plan, plan
from smoothswap.ops.upfirdn2d import check_filter

EPSILON = 1e-8  # under the root of the demodulation, as in StyleGAN2


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
) -> Tensor:
    """Convolves each sample with weights scaled by its style.

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

    Returns:
        [N, O, H', W'], x's dtype and memory format. Under autocast all tensors are converted to its dtype.

    Raises:
        ArgumentError: shapes, dtypes or devices that do not fit, factors below 1, an empty result.
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
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, styles = x.to(dtype), weight.to(dtype), styles.to(dtype)
        noise = None if noise is None else noise.to(dtype)
    checks.same_dtype(op, "x", x, "weight", weight)
    checks.same_dtype(op, "x", x, "styles", styles)
    for name, factor in (("up", up), ("down", down)):
        checks.pair(op, name, factor)
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
    return torch.ops.smoothswap.modulated_conv2d(  # type: ignore[no-any-return]
        x, weight, styles, noise, up, down, pads, resample_filter, demodulate, flip_weight
    )


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


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Scales d [N, O] for weight [O, I, kh, kw] and styles [N, I]: one product of [N, I] and [I, O]."""
    energy = weight.square().sum([2, 3])
    return (styles.square() @ energy.T + EPSILON).rsqrt()


def _dtype(x: Tensor) -> torch.dtype:
    """Dtype of the convolution: a CPU has no quick low-precision one; a GPU accumulates in fp32 by itself."""
    return arithmetic(x.dtype) if x.device.type == "cpu" else x.dtype


def _plan(ctx_like: tuple[Any, ...], weight: Tensor, f: Tensor | None) -> tuple[Plan, Tensor]:
    up, down, padding, flip_weight = ctx_like
    return plan(weight, up, down, padding, f), weight if flip_weight else weight.flip([2, 3])


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
) -> Tensor:
    """The op in stock PyTorch."""
    with without_autocast(x):
        work, wide = _dtype(x), arithmetic(x.dtype)
        steps, kernel = _plan((up, down, padding, flip_weight), weight, resample_filter)
        y = steps.forward(x.to(work) * styles.to(work)[:, :, None, None], kernel.to(work))
        if demodulate:
            y = y * demodulation(weight.to(wide), styles.to(wide)).to(work)[:, :, None, None]
        if noise is not None:
            y = y + noise.to(work)
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
) -> Tensor:
    kernel = backend.choose("modulated_conv2d", x, weight, styles, noise, resample_filter)
    return kernel(  # type: ignore[no-any-return]
        x, weight, styles, noise, up, down, padding, resample_filter, demodulate, flip_weight
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
) -> Tensor:
    size = plan(weight, up, down, padding, resample_filter).output_size(x.shape[2], x.shape[3])
    return torch.empty(
        [x.shape[0], weight.shape[0], *size], dtype=x.dtype, device=x.device, memory_format=memory_format(x)
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, styles, noise, up, down, padding, f, ctx.demodulate, flip_weight = inputs
    ctx.arguments = (up, down, padding, flip_weight)
    ctx.save_for_backward(x, weight, styles, noise, f, output if ctx.demodulate else None)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, styles, noise, f, y = ctx.saved_tensors
    dtype, work, wide = x.dtype, _dtype(x), arithmetic(x.dtype)
    steps, kernel = _plan(ctx.arguments, weight, f)
    x, g, kernel = x.to(work), g.to(work), kernel.to(work)
    w, s = weight.to(wide), styles.to(wide)
    want_weight = ctx.needs_input_grad[1] and weight_gradients_wanted()

    scaled = g
    if ctx.demodulate:
        d = demodulation(w, s)
        scaled = g * d.to(work)[:, :, None, None]
    gxs, gw = steps.adjoint(scaled, x * s.to(work)[:, :, None, None], kernel, want_weight)
    gx = gxs * s.to(work)[:, :, None, None]
    gs = (gxs * x).sum([2, 3], dtype=wide)
    if gw is not None:
        gw = (gw if ctx.arguments[3] else gw.flip([2, 3])).to(wide)
    if ctx.demodulate:
        unit = y.to(work) if noise is None else y.to(work) - noise.to(work)
        q = -0.5 * d.square() * (g * unit).sum([2, 3], dtype=wide)
        gs = gs + 2 * s * (q @ w.square().sum([2, 3]))
        if gw is not None:
            gw = gw + 2 * w * (q.T @ s.square())[:, :, None, None]
    gnoise = None
    if noise is not None and ctx.needs_input_grad[3]:
        gnoise = g.sum_to_size(noise.shape).to(dtype)
    return (
        gx.to(dtype),
        None if gw is None else gw.to(dtype),
        gs.to(dtype),
        gnoise,
        *[None] * 6,
    )


define(
    "modulated_conv2d",
    "(Tensor x, Tensor weight, Tensor styles, Tensor? noise, int up, int down, int[4] padding, "
    "Tensor? resample_filter, bool demodulate, bool flip_weight) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
)
backend.attach("modulated_conv2d", "reference", reference)
