"""The derivatives of `bias_act` as ops, so that R1 and other second derivatives are exact and take one pass each.

With s = gain · φ' · [|y| < c], a function of ref (y, or x and its bias where y does not tell):

    bias_act_backward    dx = g · s,     db = Σ dx over all but the channels
    bias_act_second      dg = h · s,     dref = h · g · ds/dref,     db = Σ dref      (the backward pass of the former)

A kernel may serve only `bias_act_grad`, dx alone for a ref that holds the bias already: the rest is composed with it.
The third derivative is composed of stock ops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.activations import ACTIVATIONS
from smoothswap.ops.define import define
from smoothswap.ops.gradients import weight_gradients_wanted
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.transforms import leaves

_NUMBERS = "bool from_output, str act, float alpha, float gain, float clamp"


def add_bias(x: Tensor, b: Tensor | None, dim: int) -> Tensor:
    """Adds b [C] along `dim` to x; None adds nothing."""
    if b is None:
        return x
    return x + b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])


def like(x: Tensor, y: Tensor) -> Tensor:
    """Lays y out as every kernel does for an input like x: dense, channels_last if x is."""
    return y.to(x.dtype).contiguous(memory_format=memory_format(x))


def sum_channels(dx: Tensor, dim: int) -> Tensor:
    """Sum over all dimensions but `dim`: [C]."""
    # No dimension to sum over would mean all of them; and a copy, since an op must not return one tensor twice.
    return dx.sum([i for i in range(dx.ndim) if i != dim]) if dx.ndim > 1 else dx.clone()


def stored_limit(clamp: float, dtype: torch.dtype, from_output: bool) -> float:
    """The clamp as a stored y holds it, rounded to its dtype: else a clamped y may lie inside and pass gradients."""
    rounds = from_output and clamp >= 0 and dtype in (torch.bfloat16, torch.float16)
    return float(torch.tensor(clamp, dtype=dtype)) if rounds else clamp


def _derivatives(
    ref: Tensor, limit: float, from_output: bool, act: str, alpha: float, gain: float, clamp: float, bent: bool
) -> tuple[Tensor, Tensor | None]:
    """The factor s and, if `bent`, ds/dref, zero where y is clamped; ref in the arithmetic's dtype, with the bias."""
    spec = ACTIVATIONS[act]
    if from_output:
        t, y = ref / gain, ref
    else:
        t = ref if spec.keeps_input or spec.bend is None else spec.value(ref, alpha)  # lrelu: only the sign counts
        y = spec.value(ref, alpha) * gain
    slope = spec.slope(t, alpha)
    bend = None
    if bent and spec.bend is not None:
        # By y the factor gain of s cancels; by x the chain rule adds φ' where the slope is a function of φ(x).
        bend = spec.bend(t, alpha)
        bend = bend if from_output else bend * gain if spec.keeps_input else bend * slope * gain
    slope = slope * gain
    if clamp >= 0:
        inside = y.detach().abs() < limit
        slope = torch.where(inside, slope, 0.0)
        bend = None if bend is None else torch.where(inside, bend, 0.0)
    return slope, bend


def grad_reference(
    g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float
) -> Tensor:
    """The gradient of x for the gradient g of y; ref is y (`from_output`) or x + b, of g's shape."""
    return backward_reference(g, ref, None, 0, False, from_output, act, alpha, gain, clamp)[0]


def backward_reference(
    g: Tensor,
    ref: Tensor,
    b: Tensor | None,
    dim: int,
    bias_gradient: bool,
    from_output: bool,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> tuple[Tensor, Tensor]:
    """Gradients of x and, if `bias_gradient`, b [C] (else [0]); ref is y, or x, which b [C] is added to."""
    with without_autocast(g):
        wide = arithmetic(g.dtype)
        ref_b = add_bias(ref.to(wide), None if b is None else b.to(wide), dim)
        limit = stored_limit(clamp, ref.dtype, from_output)
        dx = g.to(wide) * _derivatives(ref_b, limit, from_output, act, alpha, gain, clamp, False)[0]
        db = sum_channels(dx, dim).to(g.dtype) if bias_gradient else g.new_empty(0)
        return like(g, dx), db


def second_reference(
    h: Tensor,
    g: Tensor,
    ref: Tensor,
    b: Tensor | None,
    dim: int,
    bias_gradient: bool,
    from_output: bool,
    act: str,
    alpha: float,
    gain: float,
    clamp: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of g, ref and, if `bias_gradient`, b [C] (else [0]) for the gradient h of dx; differentiable."""
    with without_autocast(g):
        wide = arithmetic(g.dtype)
        ref_b = add_bias(ref.to(wide), None if b is None else b.to(wide), dim)
        limit = stored_limit(clamp, ref.dtype, from_output)
        slope, bend = _derivatives(ref_b, limit, from_output, act, alpha, gain, clamp, True)
        dref = torch.zeros_like(ref_b) if bend is None else h.to(wide) * g.to(wide) * bend
        db = sum_channels(dref, dim).to(g.dtype) if bias_gradient else g.new_empty(0)
        return like(h, h.to(wide) * slope), like(ref, dref), db


def _run_grad(g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    kernel = backend.choose("bias_act_grad", g, ref, act=act, from_output=from_output)
    clamp = stored_limit(clamp, ref.dtype, from_output)
    return kernel(g, ref, from_output, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _run_backward(
    g: Tensor,
    ref: Tensor,
    b: Tensor | None,
    dim: int,
    bias_gradient: bool,
    from_output: bool,
    act: str,
    *numbers: float,
) -> tuple[Tensor, Tensor]:
    kernel = backend.choose("bias_act_backward", g, ref, b, act=act, from_output=from_output)
    alpha, gain, clamp = numbers
    clamp = stored_limit(clamp, ref.dtype, from_output)
    return kernel(g, ref, b, dim, bias_gradient, from_output, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _run_second(
    h: Tensor,
    g: Tensor,
    ref: Tensor,
    b: Tensor | None,
    dim: int,
    bias_gradient: bool,
    from_output: bool,
    act: str,
    *numbers: float,
) -> tuple[Tensor, Tensor, Tensor]:
    kernel = backend.choose("bias_act_second", h, g, ref, b, act=act, from_output=from_output)
    alpha, gain, clamp = numbers
    clamp = stored_limit(clamp, ref.dtype, from_output)
    return kernel(h, g, ref, b, dim, bias_gradient, from_output, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _empty(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _fake_grad(g: Tensor, ref: Tensor, *rest: Any) -> Tensor:
    return _empty(g)


def _fake_backward(
    g: Tensor, ref: Tensor, b: Tensor | None, dim: int, bias_gradient: bool, *rest: Any
) -> tuple[Tensor, Tensor]:
    return _empty(g), g.new_empty(g.shape[dim] if bias_gradient else 0)


def _fake_second(
    h: Tensor, g: Tensor, ref: Tensor, b: Tensor | None, dim: int, bias_gradient: bool, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(h), _empty(ref), g.new_empty(g.shape[dim] if bias_gradient else 0)


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    g, ref, *ctx.arguments = inputs
    ctx.save_for_backward(g, ref)


def _backward_grad(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
    g, ref = ctx.saved_tensors
    dg, dref, _ = _through(h, g, ref, None, 0, False, ctx.arguments)
    return (dg, dref, *[None] * 5)


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    g, ref, b, ctx.dim, ctx.bias_gradient, *ctx.arguments = inputs
    ctx.save_for_backward(g, ref, b)
    ctx.set_materialize_grads(False)


def _backward_backward(ctx: Any, h: Tensor | None, k: Tensor | None) -> tuple[Tensor | None, ...]:
    g, ref, b = ctx.saved_tensors
    if k is not None and ctx.bias_gradient:  # db is the sum of dx: its gradient is that of dx, spread
        h = add_bias(torch.zeros_like(g) if h is None else h, k, ctx.dim)
    if h is None:
        return (None,) * 10
    wants_bias = b is not None and weight_gradients_wanted()
    dg, dref, db = _through(h, g, ref, b, ctx.dim, wants_bias, ctx.arguments)
    return (dg, dref, db, *[None] * 7)


def _through(
    h: Tensor, g: Tensor, ref: Tensor, b: Tensor | None, dim: int, wants_bias: bool, arguments: list[Any]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of g, ref and b for the gradient h of dx; the last two are None where the slope is constant."""
    if ACTIVATIONS[arguments[1]].bend is None:
        dg, _ = torch.ops.smoothswap.bias_act_backward(h, ref, b, dim, False, *arguments)
        return dg, None, None
    dg, dref, db = torch.ops.smoothswap.bias_act_second(h, g, ref, b, dim, wants_bias, *arguments)
    return dg, dref, db if wants_bias else None


def _setup_second(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.dim, ctx.bias_gradient, from_output, act, alpha, gain, clamp = inputs
    ctx.arguments = (from_output, act, alpha, gain, clamp)
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _backward_second(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, not detached copies: those would be constants at the other levels of torch.func's transforms too.
        views = [None if t is None else t.view_as(t) for t in ctx.saved_tensors]
        with leaves():
            tensors: list[Any] = [t if t is None or t.requires_grad else t.requires_grad_() for t in views]
        h, g, ref, b = tensors
        results = second_reference(h, g, ref, b, ctx.dim, ctx.bias_gradient, *ctx.arguments)
        pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None and r.requires_grad]
        wanted = [t for t in tensors if t is not None]
        if not pairs:
            return (None,) * 11
        outputs, given = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(outputs, wanted, given, create_graph=create_graph, allow_unused=True))
    return (*[None if t is None else next(found) for t in tensors], *[None] * 7)


define(
    "bias_act_grad",
    f"(Tensor g, Tensor ref, {_NUMBERS}) -> Tensor",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
    composed=grad_reference,
)
define(
    "bias_act_backward",
    f"(Tensor g, Tensor ref, Tensor? b, int dim, bool bias_gradient, {_NUMBERS}) -> (Tensor, Tensor)",
    run=_run_backward,
    fake=_fake_backward,
    setup=_setup_backward,
    backward=_backward_backward,
    composed=backward_reference,
)
define(
    "bias_act_second",
    f"(Tensor h, Tensor g, Tensor ref, Tensor? b, int dim, bool bias_gradient, {_NUMBERS}) -> (Tensor, Tensor, Tensor)",
    run=_run_second,
    fake=_fake_second,
    setup=_setup_second,
    backward=_backward_second,
    composed=second_reference,
)
backend.attach("bias_act_grad", "reference", grad_reference)
backend.attach("bias_act_backward", "reference", backward_reference)
backend.attach("bias_act_second", "reference", second_reference)


def _compose(name: str) -> None:
    """Serves the two larger ops on a backend that has a kernel for `bias_act_grad` alone."""

    def run(
        g: Tensor,
        ref: Tensor,
        b: Tensor | None,
        dim: int,
        bias_gradient: bool,
        from_output: bool,
        act: str,
        *numbers: float,
    ) -> tuple[Tensor, Tensor]:
        kernel = backend.kernel("bias_act_grad", name)
        dx = kernel(g, add_bias(ref, b, dim), from_output, act, *numbers)
        return dx, sum_channels(dx, dim) if bias_gradient else g.new_empty(0)

    def objection(*tensors: Tensor | None, **options: Any) -> str | None:
        return backend.can_run("bias_act_grad", name, *tensors[-3:-1], **options)

    backend.attach("bias_act_backward", name, run, objection)
    backend.attach("bias_act_second", name, second_reference, objection)


for _name in ("triton", "cuda"):
    _compose(_name)
