"""classes_lse: what cross-entropy over very many classes needs, without their logits in memory.

With u_ij = x_i·w_j, or x_i·w_j/|w_j|, logits s_ij = α u_ij + b_j for x [N, D], classes w [P, D], biases b [P], labels
y [N]:

    lse_i = log Σ_{j≠y_i} exp s_ij,          own_i = u_{i y_i}

Cross-entropy is then softplus(lse_i − t_i) with the own class's logit t_i, whatever margin was put on it. Logits exist
for one block of classes at a time and are computed again in the backward pass, as in cut cross-entropy (Wijmans et al.
2024, arXiv 2411.09009), here in a fixed order, so that the result is the same each time. The gradient of w is the only
tensor of its size: w of unit length are not made, and the own class's part is added to the others' in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError, DerivativeError
from smoothswap.ops import backend, checks
from smoothswap.ops.define import define
from smoothswap.ops.layout import without_autocast
from smoothswap.ops.transforms import refused

_BLOCK = 1 << 22  # logits held at a time: 16 MiB of fp32
_SHORTEST = 1e-12  # what a length is at least, as in F.normalize


def classes_lse(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, scale: float = 1.0, unit: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-sum-exp of each vector's logits but its own class's, and its product with that; differentiable once.

    Args:
        x: vectors [N, D], fp32 or fp64.
        weight: classes [P, D] in x's dtype, P ≥ 1.
        bias: what is added to the logits, [P], or None.
        labels: each vector's own class, int64 [N], 0 … P − 1; the values are not looked at.
        scale: α, multiplies the products.
        unit: whether the products are with classes of unit length.

    Returns:
        lse [N], −inf where there is no other class, and own [N], without scale and bias; in x's dtype.

    Raises:
        ArgumentError: ranks, shapes, dtypes or devices that do not fit.
    """
    op = "classes_lse"
    checks.floating(op, "x", x)
    checks.rank(op, "x", x, [2], "[N, D]")
    checks.rank(op, "weight", weight, [2], "[P, D]")
    checks.shape(op, "weight", weight, (max(weight.shape[0], 1), x.shape[1]), f"for x of {checks.about(x)}")
    checks.shape(op, "labels", labels, x.shape[:1], f"one label for each row of x: {checks.about(x)}")
    if labels.dtype != torch.int64:
        raise ArgumentError(f"{op}: labels have dtype {labels.dtype}, expected torch.int64", hint="labels.long()")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None:
            checks.same_dtype(op, "x", x, name, tensor)
            checks.same_device(op, "x", x, name, tensor)
    if bias is not None:
        checks.shape(op, "bias", bias, weight.shape[:1], "one for each class")
    checks.same_device(op, "x", x, "labels", labels)
    return torch.ops.smoothswap.classes_lse(x, weight, bias, labels, checks.number(op, "scale", scale), bool(unit))  # type: ignore[no-any-return]


def _blocks(n: int, classes: int) -> Iterator[slice]:
    """Slices of classes whose logits fit the block."""
    many = max(1, _BLOCK // max(n, 1))
    for start in range(0, classes, many):
        yield slice(start, min(start + many, classes))


def _own(labels: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """Rows of the vectors whose class is in the block, and its column there."""
    rows = ((labels >= block.start) & (labels < block.stop)).nonzero()[:, 0]
    return rows, labels[rows] - block.start


def _products(x: Tensor, weight: Tensor, unit: bool) -> tuple[Tensor, Tensor]:
    """Products u [N, classes] with a block of classes [classes, D], and the lengths they were divided by."""
    length = torch.linalg.vector_norm(weight, dim=1) if unit else weight.new_ones(weight.shape[0])
    length = length.clamp_min(_SHORTEST)
    return (x @ weight.T).div_(length), length


def reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, scale: float, unit: bool
) -> tuple[Tensor, Tensor]:
    """Lse [N] and own [N], block after block."""
    with without_autocast(x):
        lse, own = x.new_full(x.shape[:1], -math.inf), x.new_zeros(x.shape[:1])
        for block in _blocks(len(x), len(weight)):
            u, _ = _products(x, weight[block], unit)
            at = _own(labels, block)
            own[at[0]] = u[at]
            s = u.mul_(scale) if bias is None else u.mul_(scale).add_(bias[block])
            s[at] = -math.inf
            lse = torch.logaddexp(lse, s.logsumexp(1))
    return lse, own


def grad_reference(
    g_lse: Tensor,
    g_own: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    lse: Tensor,
    scale: float,
    unit: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias for those of lse [N] and own [N]."""
    with without_autocast(x):
        dx, dw, db = torch.zeros_like(x), torch.empty_like(weight), weight.new_empty(weight.shape[0])
        shift = lse.masked_fill(lse.isneginf(), 0)[:, None]  # −inf − −inf would be NaN: no other class, no gradient
        for block in _blocks(len(x), len(weight)):
            u, length = _products(x, weight[block], unit)
            p = u * scale if bias is None else (u * scale).add_(bias[block])
            at = _own(labels, block)
            p[at] = -math.inf
            p.sub_(shift).exp_().mul_(g_lse[:, None])
            db[block] = p.sum(0)
            p.mul_(scale)
            p[at] = g_own[at[0]]  # from here on the gradient of u
            if unit:  # along w nothing changes
                along = u.mul_(p).sum(0) * (length > _SHORTEST) / length.square()
            p.div_(length)
            dx.addmm_(p, weight[block])
            torch.mm(p.T, x, out=dw[block])
            if unit:
                dw[block].addcmul_(weight[block], along[:, None], value=-1)
    return dx, dw, db


def _run(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, scale: float, unit: bool
) -> tuple[Tensor, Tensor]:
    chosen = backend.choose("classes_lse", x, weight, bias, labels)
    return chosen(x, weight, bias, labels, scale, unit)  # type: ignore[no-any-return]


def _run_grad(*arguments: Any) -> tuple[Tensor, ...]:
    return backend.choose("classes_lse_grad", *arguments[:7])(*arguments)  # type: ignore[no-any-return]


def _fake(
    x: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, scale: float, unit: bool
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[:1]), x.new_empty(x.shape[:1])


def _fake_grad(g_lse: Tensor, g_own: Tensor, x: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), torch.empty_like(weight), weight.new_empty(weight.shape[0])


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.scale, ctx.unit = inputs
    ctx.save_for_backward(*tensors, output[0])


def _backward(ctx: Any, g_lse: Tensor, g_own: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias, labels, lse = ctx.saved_tensors
    run = torch.ops.smoothswap.classes_lse_grad
    dx, dw, db = run(g_lse, g_own, x, weight, bias, labels, lse, ctx.scale, ctx.unit)
    return dx, dw, None if bias is None else db, None, None, None


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pass


def _backward_grad(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    # An op without a registered gradient would silently count as a constant.
    raise DerivativeError("classes_lse has a first derivative, no second", hint=_INSTEAD)


_INSTEAD = (
    "Take the logits, torch.nn.functional.linear(x, weight, bias), and torch.logsumexp of them: memory for N × P."
)
_REVERSE = f"Differentiate in reverse mode (torch.func.grad, vjp, jacrev), or: {_INSTEAD[0].lower()}{_INSTEAD[1:]}"


define(
    "classes_lse",
    "(Tensor x, Tensor weight, Tensor? bias, Tensor labels, float scale, bool unit) -> (Tensor lse, Tensor own)",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=refused("classes_lse", _REVERSE),
)
define(
    "classes_lse_grad",
    "(Tensor g_lse, Tensor g_own, Tensor x, Tensor weight, Tensor? bias, Tensor labels, Tensor lse, float scale,"
    " bool unit) -> (Tensor dx, Tensor dweight, Tensor dbias)",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
    composed=refused("classes_lse", _REVERSE),
)
backend.attach("classes_lse", "reference", reference)
backend.attach("classes_lse_grad", "reference", grad_reference)
