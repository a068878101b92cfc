"""bias_act: add a bias, apply an activation, scale and clamp, in one op.

    y = clamp(gain · φ(x + b), −c, c)

Its derivative is dx = g · gain · φ'(x + b) · [|y| < c]. For all activations but swish φ' follows from y alone, so that
only y is kept: with t = y / gain, ψ(t) = φ'(φ⁻¹(t)). The derivatives are ops of their own (bias_act_grad.py).
Names and defaults follow StyleGAN (Karras et al., 2019–2021); the code is written from the equations above.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.activations import ACTIVATIONS, derivative_from_output
from smoothswap.ops.bias_act_grad import add_bias, like, sum_channels
from smoothswap.ops.define import define, for_onnx
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic, autocasts, memory_format, without_autocast


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
    dim = checks.integer(op, "dim", dim)
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
        if autocasts(x):
            b = b.to(x.dtype)
        checks.same_dtype(op, "x", x, "b", b)
    run = reference if for_onnx() else torch.ops.smoothswap.bias_act
    return run(x, b, dim, act, alpha, gain, clamp)


def settings(
    op: str, act: str, alpha: float | None, gain: float | None, clamp: float | None
) -> tuple[float, float, float]:
    """Checks the activation of an op and fills in the defaults: alpha, gain and clamp, which is −1 for none."""
    if act not in ACTIVATIONS:
        raise ArgumentError(f"{op}: unknown act {act!r}, expected one of {', '.join(ACTIVATIONS)}")
    spec = ACTIVATIONS[act]
    alpha = checks.number(op, "alpha", spec.alpha if alpha is None else alpha)
    gain = checks.number(op, "gain", spec.gain if gain is None else gain)
    clamp = checks.number(op, "clamp", -1.0 if clamp is None else clamp)
    if clamp < 0 and clamp != -1:  # −1 is how StyleGAN's callers, and the op itself, say "none"
        raise ArgumentError(f"{op}: clamp is {clamp}, expected at least 0, or None for no limit")
    return alpha, gain, clamp


def reference(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The op in stock PyTorch; x of any shape, b [C], clamp < 0 for none."""
    with without_autocast(x):
        wide = arithmetic(x.dtype)
        y = ACTIVATIONS[act].value(add_bias(x.to(wide), None if b is None else b.to(wide), dim), alpha)
        if gain != 1:
            y = y * gain
        if clamp >= 0:
            y = y.clamp(-clamp, clamp)
        y = like(x, y)
        return y.clone() if y is x else y  # an op must not return its input


def _run(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    kernel = backend.choose("bias_act", x, b, act=act)
    return kernel(x, b, dim, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _fake(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, b, ctx.dim, act, alpha, gain, clamp = inputs
    ctx.from_output = derivative_from_output(act, alpha, gain)
    ctx.linear = act == "linear" and clamp < 0
    ctx.has_bias, ctx.arguments = b is not None, (act, alpha, gain, clamp)
    if ctx.linear:
        ctx.save_for_backward()
    elif ctx.from_output:
        ctx.save_for_backward(output)
    else:
        ctx.save_for_backward(x, b)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    wants_bias = ctx.has_bias and ctx.needs_input_grad[1] and weight_gradients_wanted()
    db: Tensor | None
    if ctx.linear:
        gain = ctx.arguments[2]
        dx = g if gain == 1 else g * gain
        db = sum_channels(dx, ctx.dim) if wants_bias else None
    else:
        ref, b = (*ctx.saved_tensors, None) if ctx.from_output else ctx.saved_tensors
        dx, db = torch.ops.smoothswap.bias_act_backward(g, ref, b, ctx.dim, wants_bias, ctx.from_output, *ctx.arguments)
    return (dx, db if wants_bias else None, *[None] * 5)


define(
    "bias_act",
    "(Tensor x, Tensor? b, int dim, str act, float alpha, float gain, float clamp) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=reference,
)
backend.attach("bias_act", "reference", reference)
