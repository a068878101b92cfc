"""The gradient of modulated_conv2d, in ops that are differentiable themselves, so that second derivatives are exact.

With y = clamp(γ·φ(v), −c, c), v = d·u + noise + b and u = R(x·s, w), g being the gradient of y:

    h = g·γ·φ'(v)·[|y| < c]                        the gradient of v; φ' follows from the sign of y
    gx = s·Rx'(d·h, w)       gs = Σ_hw x·Rx'(d·h, w) + 2 s·(q w²)        gw = Rw'(x·s, d·h) + 2 w·(qᵀ s²)
    gb = Σ_nhw h             gnoise = Σ h over the dimensions that noise is broadcast along
    q_no = −½ d_no² Σ_hw h·d·u                     Σ_hw h·u·∂d/∂(d⁻²)

Rx', Rw' are the adjoints of R in its two arguments. The sum in q needs no u: φ is homogeneous, γ·φ'(v)·v = γ·φ(v), so

    Σ_hw h·d·u = Σ_hw (g·y·[|y| < c] − h·(noise + b))
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smoothswap.ops.bias_act_grad import stored_limit
from smoothswap.ops.conv2d_weight_gradient import conv2d_weight_gradient
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic
from smoothswap.ops.modulated_conv2d_head import modulated_conv2d_head, serves
from smoothswap.ops.resampled_conv import plan
from smoothswap.ops.scaled_conv2d import adjoint_padding, scaled, scaled_conv2d

EPSILON = 1e-8  # under the root of the demodulation, as in StyleGAN2


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Scales d [N, O] for weight [O, I, kh, kw] and styles [N, I]: one product of [N, I] and [I, O]."""
    energy = weight.square().sum([2, 3])
    return (styles.square() @ energy.T + EPSILON).rsqrt()


def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keeps what the gradient needs: the result only where φ', the clamp or the demodulation asks for it."""
    x, weight, styles, noise, up, down, padding, f, demodulate, flip_weight, bias, *activation = inputs
    act, *_, clamp = activation
    ctx.plain = act == "linear" and clamp < 0
    # The gradient compares y in its arithmetic's dtype, where the limit has to be what a stored y can hold of it.
    activation[-1] = stored_limit(clamp, x.dtype, True)
    ctx.convolution, ctx.demodulate, ctx.activation = (up, down, padding, flip_weight), demodulate, activation
    y = output if demodulate or not ctx.plain else None
    ctx.save_for_backward(x, weight, styles, noise, f, bias, y)


def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """One gradient for each of the op's fifteen arguments, for the gradient g [N, O, H', W'] of the result."""
    x, weight, styles, noise, f, bias, y = ctx.saved_tensors
    act, alpha, gain, clamp = ctx.activation
    dtype, wide = x.dtype, arithmetic(x.dtype)
    work = wide if x.device.type == "cpu" else dtype
    g, w, s = g.to(work), weight.to(wide), styles.to(wide)
    if y is not None:
        y = y.to(work)
    want_weight = ctx.needs_input_grad[1] and weight_gradients_wanted()

    d = demodulation(w, s) if ctx.demodulate else None
    total = hsum = None
    if serves(g, y, noise):
        shared = None if noise is None else noise.to(work)
        h, hsum, unit, hnoise = modulated_conv2d_head(g, y, shared, d, act, alpha, gain, clamp)
        total = unit if bias is None else unit - hsum * bias.to(wide)
        gxs, gw = _convolution(ctx.convolution, x.to(work), h, weight.to(work), f, s, None, want_weight)
    else:
        if ctx.plain:
            hnoise = h = g if gain == 1 else g * gain
        else:
            hnoise = h = torch.ops.smoothswap.bias_act_grad(g, y, True, act, alpha, gain, clamp)
        gxs, gw = _convolution(ctx.convolution, x.to(work), h, weight.to(work), f, s, d, want_weight)
    gx = gxs * s.to(work)[:, :, None, None]
    gs = (gxs * x.to(work)).sum([2, 3], dtype=wide)
    gw = None if gw is None else gw.to(wide)
    if d is not None:
        q = -0.5 * d.square() * (_unit(g, h, y, noise, bias, clamp, wide) if total is None else total)
        gs = gs + 2 * s * (q @ w.square().sum([2, 3]))
        if gw is not None:
            gw = gw + 2 * w * (q.T @ s.square())[:, :, None, None]
    gnoise = gbias = None
    if noise is not None and ctx.needs_input_grad[3]:
        gnoise = hnoise.sum_to_size(noise.shape).to(dtype)
    if bias is not None and ctx.needs_input_grad[10] and weight_gradients_wanted():
        gbias = (h.sum([0, 2, 3], dtype=wide) if hsum is None else hsum.sum(0)).to(dtype)
    return (
        gx.to(dtype),
        None if gw is None else gw.to(dtype),
        gs.to(dtype),
        gnoise,
        *[None] * 6,
        gbias,
        *[None] * 4,
    )


def _convolution(
    convolution: tuple[Any, ...],
    x: Tensor,
    h: Tensor,
    weight: Tensor,
    f: Tensor | None,
    s: Tensor,
    d: Tensor | None,
    want_weight: bool,
) -> tuple[Tensor, Tensor | None]:
    """Rx'(d·h, w) and Rw'(x·s, d·h), shaped like x and weight; x [N, I, H, W], h [N, O, H', W'], s [N, I], d [N, O]."""
    up, down, padding, flip_weight = convolution
    kernel = weight if flip_weight else weight.flip([2, 3])
    gk = None
    if up == down == 1:
        gxs = scaled_conv2d(h, kernel, d, None, adjoint_padding(kernel, padding), True)
        if want_weight:
            gk = conv2d_weight_gradient(x, s, h, d, kernel.shape[2:], padding)
    else:
        steps = plan(kernel, up, down, padding, f)
        gxs, gk = steps.adjoint(h if d is None else scaled(h, d), scaled(x, s), kernel, want_weight)
    return gxs, gk if gk is None or flip_weight else gk.flip([2, 3])


def _unit(
    g: Tensor, h: Tensor, y: Tensor, noise: Tensor | None, bias: Tensor | None, clamp: float, wide: torch.dtype
) -> Tensor:
    """Σ_hw h·d·u [N, O]; g, h, y [N, O, H', W'], bias [O]."""
    product = g * y
    if clamp >= 0:
        product = product * (y.detach().abs() < clamp)
    if noise is not None:
        product = product - h * noise.to(h.dtype)
    total = product.sum([2, 3], dtype=wide)
    if bias is not None:
        total = total - h.sum([2, 3], dtype=wide) * bias.to(wide)
    return total
