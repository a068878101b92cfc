"""bias_act: add a bias, apply an activation, scale and clamp, in one op.

    y = clamp(gain · φ(x + b), −c, c)

Its derivative is dx = g · gain · φ'(x + b) · [|y| < c]. For all activations but swish φ' follows from y alone, so that
only y is kept: with t = y / gain, ψ(t) = φ'(φ⁻¹(t)). The derivative is an op of its own (`bias_act_grad`), linear in g,
whose gradients are itself and ψ', so that R1 and other second derivatives are exact.
Names and defaults follow StyleGAN (Karras et al., 2019–2021); the code is written from the equations above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.define import define
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Activation:
    """One activation φ: values and derivatives, each a function of (tensor, alpha).

    Attributes:
        value: φ(x).
        slope: φ' as a function of t = φ(x), or of x where `keeps_input`.
        bend: the derivative of `slope`; None where it is zero everywhere.
        alpha: default of alpha (slope of lrelu below zero; the others ignore it).
        gain: default gain, which keeps the variance of a unit normal roughly at one.
        keeps_input: the derivative needs x, not y.
    """

    value: Callable[[Tensor, float], Tensor]
    slope: Callable[[Tensor, float], Tensor]
    bend: Callable[[Tensor, float], Tensor] | None = None
    alpha: float = 0.0
    gain: float = 1.0
    keeps_input: bool = False


def _swish_slope(x: Tensor, alpha: float) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def _swish_bend(x: Tensor, alpha: float) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


_ROOT2 = math.sqrt(2)
ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, a: x, lambda t, a: torch.ones_like(t)),
    "relu": Activation(lambda x, a: F.relu(x), lambda t, a: (t > 0).to(t.dtype), gain=_ROOT2),
    "lrelu": Activation(
        lambda x, a: F.leaky_relu(x, a),
        lambda t, a: (t > 0).to(t.dtype) * (1 - a) + a,
        alpha=0.2,
        gain=_ROOT2,
    ),
    "tanh": Activation(lambda x, a: torch.tanh(x), lambda t, a: 1 - t * t, lambda t, a: -2 * t),
    "sigmoid": Activation(lambda x, a: torch.sigmoid(x), lambda t, a: t * (1 - t), lambda t, a: 1 - 2 * t),
    "elu": Activation(
        lambda x, a: F.elu(x),
        lambda t, a: torch.clamp(t, max=0) + 1,
        lambda t, a: (t < 0).to(t.dtype),
    ),
    "selu": Activation(
        lambda x, a: F.selu(x),
        lambda t, a: torch.where(t > 0, torch.full_like(t, _SELU_SCALE), t + _SELU_SCALE * _SELU_ALPHA),
        lambda t, a: (t <= 0).to(t.dtype),
    ),
    "softplus": Activation(lambda x, a: F.softplus(x), lambda t, a: -torch.expm1(-t), lambda t, a: torch.exp(-t)),
    "swish": Activation(lambda x, a: F.silu(x), _swish_slope, _swish_bend, gain=_ROOT2, keeps_input=True),
}


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Adds a bias, applies an activation, scales and clamps.

    Args:
        x: any shape, channels at `dim`; fp64, fp32, bf16 or fp16 (the last two are computed in fp32).
        b: bias [C] of x's dtype; under autocast it is converted. None: no bias.
        dim: dimension of x that b runs along.
        act: linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus or swish.
        alpha: slope of lrelu below zero; None: 0.2.
        gain: factor on the activation; None: √2 for relu, lrelu and swish, else 1.
        clamp: limit ≥ 0 on the magnitude of the result, after the gain; None: no limit.

    Returns:
        Tensor of x's shape, dtype and memory format.

    Raises:
        ArgumentError: unknown act, wrong rank, length, dtype or device of b, a number that is not finite.
        BackendError: a kernel was asked for by name and cannot run.
    """
    op = "bias_act"
    checks.floating(op, "x", x)
    alpha, gain, clamp = settings(op, act, alpha, gain, clamp)
    if b is not None:
        checks.floating(op, "b", b)
        if not -x.ndim <= dim < x.ndim:
            raise ArgumentError(f"{op}: dim is {dim}, but x has {x.ndim} dimensions", f"x: {checks.about(x)}")
        dim %= x.ndim
        checks.rank(op, "b", b, [1], "[C]")
        checks.same_device(op, "x", x, "b", b)
        if b.shape[0] != x.shape[dim]:
            raise ArgumentError(
                f"{op}: b has {b.shape[0]} channels, expected {x.shape[dim]} as dimension {dim} of x",
                f"x: {checks.about(x)}",
                f"b: {checks.about(b)}",
            )
        if torch.is_autocast_enabled(x.device.type):
            b = b.to(x.dtype)
        checks.same_dtype(op, "x", x, "b", b)
    return torch.ops.smoothswap.bias_act(x, b, dim, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def settings(
    op: str, act: str, alpha: float | None, gain: float | None, clamp: float | None
) -> tuple[float, float, float]:
    """Checks the activation of an op and fills in the defaults: alpha, gain and clamp, which is −1 for none."""
    if act not in ACTIVATIONS:
        raise ArgumentError(f"{op}: unknown act {act!r}, expected one of {', '.join(ACTIVATIONS)}")
    spec = ACTIVATIONS[act]
    alpha = spec.alpha if alpha is None else alpha
    gain = spec.gain if gain is None else gain
    clamp = -1.0 if clamp is None else clamp
    checks.finite(op, "alpha", alpha)
    checks.finite(op, "gain", gain)
    checks.finite(op, "clamp", clamp)
    if clamp < 0 and clamp != -1:  # −1 is how StyleGAN's callers, and the op itself, say "none"
        raise ArgumentError(f"{op}: clamp is {clamp}, expected at least 0, or None for no limit")
    return float(alpha), float(gain), float(clamp)


def _add_bias(x: Tensor, b: Tensor | None, dim: int) -> Tensor:
    if b is None:
        return x
    return x + b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])


def _like(x: Tensor, y: Tensor) -> Tensor:
    """Lays y out as every kernel does for an input like x: dense, channels_last if x is."""
    return y.to(x.dtype).contiguous(memory_format=memory_format(x))


def reference(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The op in stock PyTorch; x of any shape, b [C], clamp < 0 for none."""
    with without_autocast(x):
        wide = arithmetic(x.dtype)
        y = ACTIVATIONS[act].value(_add_bias(x.to(wide), None if b is None else b.to(wide), dim), alpha)
        if gain != 1:
            y = y * gain
        if clamp >= 0:
            y = y.clamp(-clamp, clamp)
        y = _like(x, y)
        return y.clone() if y.data_ptr() == x.data_ptr() else y


def grad_reference(
    g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float
) -> Tensor:
    """The gradient of x for the gradient g of y; ref is y (`from_output`) or x + b, of g's shape."""
    with without_autocast(g):
        wide = arithmetic(g.dtype)
        dx = g.to(wide) * _slope(ACTIVATIONS[act], ref.to(wide), from_output, alpha, gain, clamp)
        return _like(g, dx)


def _slope(spec: Activation, ref: Tensor, from_output: bool, alpha: float, gain: float, clamp: float) -> Tensor:
    """Derivative of y by x: gain · φ' where y is not clamped."""
    slope = spec.slope(ref / gain if from_output else ref, alpha) * gain
    return slope * _unclamped(spec, ref, from_output, alpha, gain, clamp) if clamp >= 0 else slope


def _unclamped(spec: Activation, ref: Tensor, from_output: bool, alpha: float, gain: float, clamp: float) -> Tensor:
    y = ref if from_output else spec.value(ref, alpha) * gain
    return (y.abs() < clamp).to(ref.dtype)


def _run(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    kernel = backend.choose("bias_act", x, b, act=act)
    return kernel(x, b, dim, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _run_grad(g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    kernel = backend.choose("bias_act_grad", g, ref, act=act, from_output=from_output)
    return kernel(g, ref, from_output, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _fake(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _fake_grad(g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    return torch.empty(g.shape, dtype=g.dtype, device=g.device, memory_format=memory_format(g))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, b, dim, act, alpha, gain, clamp = inputs
    # y tells the sign of x only while neither the gain nor the slope below zero destroys it.
    ctx.from_output = not ACTIVATIONS[act].keeps_input and gain != 0 and alpha >= 0
    ctx.linear = act == "linear" and clamp < 0
    ctx.dim, ctx.has_bias, ctx.arguments = dim, b is not None, (act, alpha, gain, clamp)
    if ctx.linear:
        ctx.save_for_backward()
    elif ctx.from_output:
        ctx.save_for_backward(output)
    else:
        ctx.save_for_backward(x, b)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    if ctx.linear:
        dx = g * ctx.arguments[2]
    else:
        if ctx.from_output:
            (ref,) = ctx.saved_tensors
        else:
            x, b = ctx.saved_tensors
            ref = _add_bias(x, b, ctx.dim)
        dx = torch.ops.smoothswap.bias_act_grad(g, ref, ctx.from_output, *ctx.arguments)
    db = None
    if ctx.has_bias and ctx.needs_input_grad[1] and weight_gradients_wanted():
        db = dx.sum([i for i in range(dx.ndim) if i != ctx.dim])
    return (dx, db, *[None] * 5)


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    g, ref, *ctx.arguments = inputs
    ctx.save_for_backward(g, ref)


def _backward_grad(ctx: Any, gg: Tensor) -> tuple[Tensor | None, ...]:
    g, ref = ctx.saved_tensors
    from_output, act, alpha, gain, clamp = ctx.arguments
    dg = torch.ops.smoothswap.bias_act_grad(gg, ref, from_output, act, alpha, gain, clamp)
    spec, dref = ACTIVATIONS[act], None
    if spec.bend is not None:
        # d(slope)/d(ref): with t = y / gain the factor gain of the slope cancels.
        bend = spec.bend(ref / gain, alpha) if from_output else spec.bend(ref, alpha) * gain
        if clamp >= 0:
            bend = bend * _unclamped(spec, ref.detach(), from_output, alpha, gain, clamp)
        dref = gg * g * bend
    return (dg, dref, *[None] * 5)


define(
    "bias_act",
    "(Tensor x, Tensor? b, int dim, str act, float alpha, float gain, float clamp) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
)
define(
    "bias_act_grad",
    "(Tensor g, Tensor ref, bool from_output, str act, float alpha, float gain, float clamp) -> Tensor",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
)
backend.attach("bias_act", "reference", reference)
backend.attach("bias_act_grad", "reference", grad_reference)
