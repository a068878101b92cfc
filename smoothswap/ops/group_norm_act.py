"""group_norm_act: group normalisation, scale, shift and activation in one op.

    y = φ(v),   v = γ·x̂ + β,   x̂ = (x − μ)·r,   r = 1/√(σ² + ε)

μ and σ² are mean and variance over each group of each picture. With dv = g·φ'(v) and P k = k − mean(k) − x̂·mean(k·x̂),
means over the group,

    dx = r·P(γ·dv),   dγ = Σ dv·x̂,   dβ = Σ dv.

That is an op of its own (`group_norm_act_grad`), whose gradients are written below in PyTorch's ops, so that every
order of derivative exists. Only x and the statistics are kept between the passes.
Sources: group normalisation, Wu and He 2018; the code is written from the equations above.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.activations import ACTIVATIONS, Activation
from smoothswap.ops.define import define, for_onnx
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic, autocasts, memory_format, without_autocast


def group_norm_act(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-6,
    act: str = "swish",
    alpha: float | None = None,
) -> Tensor:
    """Normalises each group of channels, scales and shifts each channel, applies an activation.

    The same as `F.silu(F.group_norm(x, groups, weight, bias, eps))`, with other activations by name.

    Args:
        x: [B, C, …]; fp64, fp32, bf16 or fp16 (the last two are computed in fp32); B may be 0.
        groups: number of groups, a divisor of C; 1 normalises over all channels, C each channel alone.
        weight: γ [C] in x's dtype or fp32; None: ones.
        bias: β [C] in x's dtype or fp32; None: zeros.
        eps: ε > 0, added to the variance.
        act: linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus or swish (SiLU); no gain as in `bias_act`.
        alpha: slope ≥ 0 of lrelu below zero; None: 0.2.

    Returns:
        Tensor of x's shape, dtype and memory format.

    Raises:
        ArgumentError: unknown act, groups that do not divide C, wrong rank, length, dtype or device of weight or bias,
            eps or alpha out of range.
        BackendError: a kernel was asked for by name and cannot run.
    """
    op = "group_norm_act"
    checks.floating(op, "x", x)
    if x.ndim < 2:
        raise ArgumentError(f"{op}: x has {x.ndim} dimensions, expected [B, C, …]", f"x: {checks.about(x)}")
    groups = checks.integer(op, "groups", groups)
    if groups < 1 or x.shape[1] % groups:
        raise ArgumentError(
            f"{op}: {x.shape[1]} channels cannot be split into {groups} groups",
            f"x: {checks.about(x)}",
            hint="Choose a divisor of the number of channels.",
        )
    if act not in ACTIVATIONS:
        raise ArgumentError(f"{op}: unknown act {act!r}, expected one of {', '.join(ACTIVATIONS)}")
    alpha = checks.number(op, "alpha", ACTIVATIONS[act].alpha if alpha is None else alpha)
    eps = checks.positive(op, "eps", eps)
    if alpha < 0:
        raise ArgumentError(f"{op}: alpha is {alpha}, expected at least 0")
    weight, bias = _parameter(x, "weight", weight), _parameter(x, "bias", bias)
    run = _composed if for_onnx() else torch.ops.smoothswap.group_norm_act
    y, _, _ = run(x, groups, weight, bias, eps, act, alpha)
    return y


def _parameter(x: Tensor, name: str, parameter: Tensor | None) -> Tensor | None:
    """Checks weight or bias [C]; in fp32 where x is narrower, so that autocast needs no rule."""
    if parameter is None:
        return None
    op = "group_norm_act"
    checks.floating(op, name, parameter)
    checks.same_device(op, "x", x, name, parameter)
    if parameter.ndim != 1 or parameter.shape[0] != x.shape[1]:
        checks.shape(op, name, parameter, [x.shape[1]], f"one value for each channel of x, {checks.about(x)}")
    wide = arithmetic(x.dtype)
    if parameter.dtype != wide:
        if not autocasts(x):
            checks.same_dtype(op, "x", x, name, parameter)
        parameter = parameter.to(wide)
    return parameter


def _run(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float, act: str, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    kernel = backend.choose("group_norm_act", x, weight, bias, act=act)
    return kernel(x, groups, weight, bias, eps, act, alpha)  # type: ignore[no-any-return]


def reference(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float, act: str, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The op in stock PyTorch: x [B, C, …], weight and bias [C]; y like x, mean and rstd [B, groups]."""
    if x.numel() == 0:
        return _fake(x, groups, weight, bias, eps, act, alpha)
    with without_autocast(x):
        size = (x.shape[0], x.shape[1], x.numel() // (x.shape[0] * x.shape[1]))
        wide = x.to(arithmetic(x.dtype)).contiguous(memory_format=memory_format(x))
        v, mean, rstd = torch.ops.aten.native_group_norm(wide, weight, bias, *size, groups, eps)
        y = ACTIVATIONS[act].value(v, alpha).to(x.dtype)
        return y.contiguous(memory_format=memory_format(x)), mean, rstd


def _fake(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float, act: str, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    mean, rstd = (x.new_zeros((x.shape[0], groups), dtype=arithmetic(x.dtype)) for _ in range(2))
    return y, mean, rstd


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, groups, weight, bias, eps, act, alpha = inputs
    _, mean, rstd = output
    ctx.mark_non_differentiable(mean, rstd)
    ctx.save_for_backward(x, weight, bias, mean, rstd)
    ctx.arguments = (groups, eps, act, alpha)


def _backward(ctx: Any, g: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    x, weight, bias, mean, rstd = ctx.saved_tensors
    dx, dweight, dbias = torch.ops.smoothswap.group_norm_act_grad(g, x, mean, rstd, weight, bias, *ctx.arguments)
    wanted = weight_gradients_wanted()
    return (
        dx,
        None,
        dweight if weight is not None and wanted else None,
        dbias if bias is not None and wanted else None,
        None,
        None,
        None,
    )


def _run_grad(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    eps: float,
    act: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    kernel = backend.choose("group_norm_act_grad", g, x, mean, rstd, weight, bias, act=act)
    return kernel(g, x, mean, rstd, weight, bias, groups, eps, act, alpha)  # type: ignore[no-any-return]


def grad_reference(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    eps: float,
    act: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight [C] and bias [C] for the gradient g of y; g and x [B, C, …], mean and rstd [B, groups]."""
    if x.numel() == 0:
        return _fake_grad(g, x, mean, rstd, weight, bias, groups, eps, act, alpha)
    with without_autocast(x):
        layout, wide = memory_format(x), arithmetic(x.dtype)
        g, wide_x = (t.to(wide).contiguous(memory_format=layout) for t in (g, x))
        B, C = x.shape[:2]
        per_channel = [1, C] + [1] * (x.ndim - 2)
        per_picture = [B, C] + [1] * (x.ndim - 2)
        scale, center = (t.repeat_interleave(C // groups, 1).reshape(per_picture) for t in (rstd, mean))
        v = (wide_x - center) * scale
        if weight is not None:
            v = v * weight.reshape(per_channel)
        if bias is not None:
            v = v + bias.reshape(per_channel)
        dv = g * _slopes(ACTIVATIONS[act], v, alpha)[0]
        size = (B, C, x.numel() // (B * C))
        dx, dweight, dbias = torch.ops.aten.native_group_norm_backward(
            dv, wide_x, mean, rstd, weight, *size, groups, [True, weight is not None, weight is not None]
        )
        dx = dx.to(x.dtype).contiguous(memory_format=layout)
        if weight is None:  # then PyTorch gives no sums over channels
            everywhere = [i for i in range(x.ndim) if i != 1]
            dweight, dbias = (dv * (wide_x - center) * scale).sum(everywhere), dv.sum(everywhere)
        return dx, dweight, dbias


def _slopes(spec: Activation, v: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """φ'(v) and φ''(v)."""
    t = v if spec.keeps_input else spec.value(v, alpha)
    slope = spec.slope(t, alpha)
    if spec.bend is None:
        return slope, torch.zeros_like(v)
    bend = spec.bend(t, alpha)
    return slope, bend if spec.keeps_input else bend * slope


def _normalised(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x̂ and v [B, G, D, S], r and μ [B, G, 1, 1] of x [B, G·D, …], as functions of x in PyTorch's simplest ops."""
    X = x.to(arithmetic(x.dtype)).reshape(x.shape[0], groups, x.shape[1] // groups, -1)
    variance, center = torch.var_mean(X, dim=(2, 3), correction=0, keepdim=True)
    r = (variance + eps).rsqrt()
    xh = (X - center) * r
    v = xh if weight is None else xh * weight.reshape(1, *X.shape[1:3], 1)
    return xh, v if bias is None else v + bias.reshape(1, *X.shape[1:3], 1), r, center


def _composed(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float, act: str, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The op by its equations: PyTorch's group_norm has no tangent of its gradient."""
    if x.numel() == 0:
        return _fake(x, groups, weight, bias, eps, act, alpha)
    with without_autocast(x):
        _, v, r, center = _normalised(x, groups, weight, bias, eps)
        y = ACTIVATIONS[act].value(v, alpha).reshape(x.shape).to(x.dtype)
        return y.contiguous(memory_format=memory_format(x)), center.flatten(1), r.flatten(1)


def _composed_grad(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    eps: float,
    act: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by the equations, the statistics being functions of x."""
    if x.numel() == 0:
        return _fake_grad(g, x, mean, rstd, weight, bias, groups, eps, act, alpha)
    with without_autocast(x):
        xh, v, r, _ = _normalised(x, groups, weight, bias, eps)
        dv = g.to(v.dtype).reshape(v.shape) * _slopes(ACTIVATIONS[act], v, alpha)[0]
        k = dv if weight is None else dv * weight.reshape(1, *v.shape[1:3], 1)
        k = r * (k - k.mean((2, 3), keepdim=True) - xh * (k * xh).mean((2, 3), keepdim=True))
        dx = k.reshape(x.shape).to(x.dtype).contiguous(memory_format=memory_format(x))
        return dx, (dv * xh).sum((0, 3)).reshape(-1), dv.sum((0, 3)).reshape(-1)


def _fake_grad(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    eps: float,
    act: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    dweight, dbias = (x.new_zeros([x.shape[1]], dtype=arithmetic(x.dtype)) for _ in range(2))
    return dx, dweight, dbias


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    g, x, _, _, weight, bias, *ctx.arguments = inputs
    ctx.save_for_backward(g, x, weight, bias)


def _backward_grad(ctx: Any, a: Tensor, c: Tensor, e: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients for a, c, e, those of dx, dγ, dβ: derivatives of ⟨a, dx⟩ + ⟨c, dγ⟩ + ⟨e, dβ⟩.

    With u = r·P a, how x̂ moves when x moves along a, that sum is ⟨t, dv⟩ for t = γ·u + c·x̂ + e, how v moves. The
    statistics are computed anew from x, as functions of it.
    """
    g, x, weight, bias = ctx.saved_tensors
    groups, eps, act, alpha = ctx.arguments
    wide, shape = arithmetic(x.dtype), (x.shape[0], groups, x.shape[1] // groups, -1)
    if x.numel() == 0:
        return torch.zeros_like(g), torch.zeros_like(x), *[None] * 8
    xh, v, r, _ = _normalised(x, groups, weight, bias, eps)  # [B, G, D, S]
    g_, a = (t.to(wide).reshape(shape) for t in (g, a))
    channels = (1, *shape[1:3], 1)
    c, e = c.reshape(channels), e.reshape(channels)
    gamma = torch.ones_like(c) if weight is None else weight.reshape(channels)

    def mean(k: Tensor) -> Tensor:
        return k.mean(dim=(2, 3), keepdim=True)

    def project(k: Tensor) -> Tensor:
        return k - mean(k) - xh * mean(k * xh)

    slope, bend = _slopes(ACTIVATIONS[act], v, alpha)
    dv = g_ * slope
    u = r * project(a)
    t = gamma * u + c * xh + e
    bent = t * g_ * bend
    w = gamma * dv
    # ⟨u, w⟩ = m·r·(mean(a·w) − mean a·mean w − A·W) with A = mean(a·x̂), W = mean(w·x̂); its derivative by x:
    A, W = mean(a * xh), mean(w * xh)
    by_norm = -r.square() * (xh * (mean(a * w) - mean(a) * mean(w) - 3 * A * W) + W * (a - mean(a)) + A * (w - mean(w)))
    dx = r * project(gamma * bent + c * dv) + by_norm
    dweight = None if weight is None else (bent * xh + u * dv).sum((0, 3)).reshape(-1)
    dbias = None if bias is None else bent.sum((0, 3)).reshape(-1)
    return (
        (t * slope).reshape(g.shape).to(g.dtype),
        dx.reshape(x.shape).to(x.dtype),
        None,
        None,
        dweight,
        dbias,
        *[None] * 4,
    )


define(
    "group_norm_act",
    "(Tensor x, int groups, Tensor? weight, Tensor? bias, float eps, str act, float alpha) -> (Tensor, Tensor, Tensor)",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=_composed,
)
define(
    "group_norm_act_grad",
    "(Tensor g, Tensor x, Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, int groups, float eps, str act, "
    "float alpha) -> (Tensor, Tensor, Tensor)",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
    composed=_composed_grad,
)
backend.attach("group_norm_act", "reference", reference)
backend.attach("group_norm_act_grad", "reference", grad_reference)
