"""other_classes_lse: what a classifier over many classes needs of the wrong ones, without their logits in memory.

With logits s_ij = f_j · x_i·w_j + b_j for x [N, D], classes w [P, D], factors f [P], biases b [P], labels y [N]:

    lse_i = log Σ_{j≠y_i} exp s_ij

Cross-entropy is then softplus(lse_i − t_i) with the true class's logit t_i, whatever margin has been put on it. Logits
exist for one block of classes at a time and are computed again in the backward pass, as in blockwise cross-entropy
(Wijmans et al. 2024, arXiv 2411.09009), here in a fixed order, the same result each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.define import define
from smoothswap.ops.layout import without_autocast

_BLOCK = 1 << 22  # logits held at a time: 16 MiB of fp32


def other_classes_lse(x: Tensor, weight: Tensor, factor: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Log-sum-exp of each vector's logits but that of its own class; differentiable once.

    Args:
        x: vectors [N, D], fp32 or fp64.
        weight: classes [P, D] in x's dtype.
        factor: what each class's products are multiplied by, [P].
        bias: what is added to them then, [P].
        labels: each vector's own class, int64 [N], 0 … P − 1; one that is not in the range leaves out none.

    Returns:
        [N] in x's dtype; −inf where there is no other class.
    """
    lse: Tensor = torch.ops.smoothswap.other_classes_lse(x, weight, factor, bias, labels)
    return lse


def _blocks(n: int, classes: int) -> Iterator[slice]:
    """Slices of classes whose logits fit the block."""
    many = max(1, _BLOCK // max(n, 1))
    for start in range(0, classes, many):
        yield slice(start, min(start + many, classes))


def _without_own(s: Tensor, labels: Tensor, block: slice) -> Tensor:
    """Logits s [N, classes of the block] with −inf at each vector's own class."""
    inside = ((labels >= block.start) & (labels < block.stop)).nonzero()[:, 0]
    s[inside, labels[inside] - block.start] = -math.inf
    return s


def reference(x: Tensor, weight: Tensor, factor: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Lse [N], block after block."""
    with without_autocast(x):
        lse = x.new_full(x.shape[:1], -math.inf)
        for block in _blocks(len(x), len(weight)):
            s = (x @ weight[block].T).mul_(factor[block]).add_(bias[block])
            lse = torch.logaddexp(lse, _without_own(s, labels, block).logsumexp(1))
    return lse


def grad_reference(
    g: Tensor, x: Tensor, weight: Tensor, factor: Tensor, bias: Tensor, labels: Tensor, lse: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, weight, factor and bias for the gradient g [N] of lse [N]."""
    with without_autocast(x):
        dx, dw, df, db = torch.zeros_like(x), torch.empty_like(weight), torch.empty_like(factor), torch.empty_like(bias)
        if len(x) == 0:
            return dx, dw.zero_(), df.zero_(), db.zero_()
        shift = lse.masked_fill(lse.isneginf(), 0)[:, None]  # −inf − −inf would be NaN: no other class, no gradient
        for block in _blocks(len(x), len(weight)):
            u = x @ weight[block].T
            p = _without_own(u * factor[block] + bias[block], labels, block).sub_(shift).exp_().mul_(g[:, None])
            db[block] = p.sum(0)
            df[block] = u.mul_(p).sum(0)
            p.mul_(factor[block])
            dx.addmm_(p, weight[block])
            torch.mm(p.T, x, out=dw[block])
    return dx, dw, df, db


def _run(*arguments: Any) -> Tensor:
    return backend.choose("other_classes_lse", *arguments)(*arguments)  # type: ignore[no-any-return]


def _run_grad(*arguments: Any) -> tuple[Tensor, ...]:
    return backend.choose("other_classes_lse_grad", *arguments)(*arguments)  # type: ignore[no-any-return]


def _fake(x: Tensor, weight: Tensor, factor: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    return x.new_empty(x.shape[:1])


def _fake_grad(
    g: Tensor, x: Tensor, weight: Tensor, factor: Tensor, bias: Tensor, labels: Tensor, lse: Tensor
) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(t) for t in (x, weight, factor, bias))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs, output)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return *torch.ops.smoothswap.other_classes_lse_grad(g, *ctx.saved_tensors), None


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pass


def _backward_grad(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    # An op without a registered gradient would silently count as a constant.
    raise NotImplementedError("other_classes_lse has a first derivative, no second")


define(
    "other_classes_lse",
    "(Tensor x, Tensor weight, Tensor factor, Tensor bias, Tensor labels) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
)
define(
    "other_classes_lse_grad",
    "(Tensor g, Tensor x, Tensor weight, Tensor factor, Tensor bias, Tensor labels, Tensor lse)"
    " -> (Tensor dx, Tensor dweight, Tensor dfactor, Tensor dbias)",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
)
backend.attach("other_classes_lse", "reference", reference)
backend.attach("other_classes_lse_grad", "reference", grad_reference)
