"""supcon_loss: supervised contrastive loss without the N × N matrix.

For vectors z_i, s_ij = z_i·z_j/τ and the positives P(i) of i (Khosla et al. 2020, arXiv 2004.11362, the form "out"):

    L_i = lse_i − 1/|P(i)| Σ_{p∈P(i)} s_ip,          lse_i = log Σ_{a≠i} exp s_ia,         L_i = 0 where P(i) is empty

The positives need no mask: Σ_p s_ip = z_i·(A z)_i/τ, and A z is a class sum less z, or a sum over lists (positives.py).
lse and its gradient, all of the time, are ops of their own (supcon_lse.py). Gradients of both terms are added in fp32
before they are rounded to z's dtype: near an optimum they cancel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import checks, supcon_lse  # noqa: F401  supcon_lse defines the ops called here
from smoothswap.ops.define import define
from smoothswap.ops.layout import arithmetic, without_autocast
from smoothswap.ops.positives import positive_dots, positive_sum

_OP = "supcon_loss"


def supcon_loss(
    z: Tensor,
    labels: Tensor | None = None,
    temperature: float = 0.07,
    reduction: str = "mean",
    *,
    positives: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Supervised contrastive loss of vectors with labels.

    Args:
        z: vectors [N, D], or [N, V, D] for V views of N samples; usually of unit length, but any will do; fp64, fp32,
            bf16 or fp16 (the last two are computed in fp32). NaN or infinite values are not refused: the loss, and the
            gradients, are then not finite either.
        labels: integers [N]; equal labels are positives of each other, and so are the views of a sample. None for
            [N, V, D]: the views of a sample alone are.
        temperature: τ > 0 that divides the similarities.
        reduction: "mean" over the anchors that have a positive (0 where none has), "sum", or "none".
        positives: instead of labels, the positives of each vector as lists: (offsets [N + 1], indices [nnz]), integers,
            those of vector i being indices[offsets[i]:offsets[i + 1]]. They need not be mutual; one that is listed
            twice counts twice. For [N, V, D], view v of sample n is vector n·V + v of N·V.

    Returns:
        A scalar, or [N], or [N, V], for "none", where anchors without positives hold 0; fp32, or fp64 for fp64. Never
        NaN for finite similarities.

    Raises:
        ArgumentError: wrong rank, dtype, device or length, a temperature ≤ 0 or not finite, an unknown reduction,
            neither or both of labels and positives; lists whose offsets fall or do not end at nnz, that name a vector
            that is not there, or the anchor itself (under torch.compile and torch.func lists' values are not checked).
    """
    checks.floating(_OP, "z", z)
    checks.rank(_OP, "z", z, [2, 3], "[N, D] or [N, V, D]")
    temperature = checks.positive(_OP, "temperature", temperature)
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{_OP}: unknown reduction {reduction!r}, expected mean, sum or none")
    views = z.shape[1] if z.ndim == 3 else 1
    flat = z.reshape(z.shape[0] * views, z.shape[-1])
    if positives is not None:
        if labels is not None:
            raise ArgumentError(f"{_OP}: labels and positives are given, expected one of them")
        offsets, indices = _lists(flat, positives)
    else:
        labels, offsets, indices = _labels(z, labels, views), None, None
    loss, _, count = torch.ops.smoothswap.supcon_loss(flat, labels, offsets, indices, temperature)
    if reduction == "none":
        return loss.reshape(z.shape[:-1])  # type: ignore[no-any-return]
    if reduction == "sum":
        return loss.sum()  # type: ignore[no-any-return]
    return loss.sum() / count.sign().sum().clamp(min=1)  # type: ignore[no-any-return]


def _labels(z: Tensor, labels: Tensor | None, views: int) -> Tensor:
    """A label [N·V] for each vector."""
    if labels is None:
        if z.ndim == 2:
            raise ArgumentError(
                f"{_OP}: neither labels nor positives are given",
                f"z: {checks.about(z)}",
                hint="Give labels [N], positives=(offsets, indices), or views z [N, V, D], which need neither.",
            )
        labels = torch.arange(z.shape[0], device=z.device)
    checks.integers(_OP, "labels", labels)
    checks.rank(_OP, "labels", labels, [1], "[N]")
    checks.shape(_OP, "labels", labels, z.shape[:1], f"one label for each row of z: {checks.about(z)}")
    checks.same_device(_OP, "z", z, "labels", labels)
    return labels.long() if views == 1 else labels.long().repeat_interleave(views)


def _lists(z: Tensor, lists: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Offsets [N + 1] and indices [nnz] for z [N, D]."""
    if not isinstance(lists, (tuple, list)) or len(lists) != 2:
        raise ArgumentError(f"{_OP}: positives is a {type(lists).__name__}, expected (offsets [N + 1], indices [nnz])")
    names = ("positives' offsets", "positives' indices")
    for name, tensor in zip(names, lists, strict=True):
        checks.integers(_OP, name, tensor)
        checks.rank(_OP, name, tensor, [1], "one")
        checks.same_device(_OP, "z", z, name, tensor)
    offsets, indices = (tensor.long() for tensor in lists)
    checks.shape(_OP, names[0], offsets, [z.shape[0] + 1], f"one for each vector, and the end; z: {checks.about(z)}")
    if checks.values_readable():  # it would break a compiled graph in two
        _check_lists(offsets, indices)
    return offsets, indices


def _check_lists(offsets: Tensor, indices: Tensor) -> None:
    """Refuses lists that do not lie within their indices, and indices that are no other vector's."""
    n, nnz = offsets.shape[0] - 1, indices.shape[0]
    if int(offsets[0]) != 0 or int(offsets[-1]) != nnz:
        raise ArgumentError(
            f"{_OP}: positives' offsets run from {int(offsets[0])} to {int(offsets[-1])}, expected 0 to {nnz}",
            f"{nnz} indices",
        )
    if (falls := (offsets.diff() < 0).nonzero()).numel():
        i = int(falls[0])
        raise ArgumentError(f"{_OP}: positives' offsets fall from {int(offsets[i])} to {int(offsets[i + 1])} at {i}")
    if (outside := ((indices < 0) | (indices >= n)).nonzero()).numel():
        k = int(outside[0])
        raise ArgumentError(f"{_OP}: positives' indices[{k}] is {int(indices[k])}, expected 0 to {n - 1}")
    owners = torch.arange(n, device=offsets.device).repeat_interleave(offsets.diff())
    if (own := (owners == indices).nonzero()).numel():
        i, k = int(indices[own[0]]), int(own[0])
        raise ArgumentError(f"{_OP}: vector {i} is listed as a positive of itself", f"indices[{k}], in the list of {i}")


def loss_of_anchors(
    z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss [N], lse [N] and |P(i)| [N], all in the arithmetic's dtype, for z [N, D] and labels [N] or lists."""
    with without_autocast(z):
        lse = torch.ops.smoothswap.supcon_lse(z, temperature)
        similar, count = positive_dots(z, labels, offsets, indices)
        # One vector alone has lse = −∞ and no positive: where, not multiplication, keeps NaN out.
        return torch.where(count > 0, lse - similar / (temperature * count.clamp(min=1)), 0), lse, count


def _fake(
    z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    loss = z.new_empty(z.shape[0], dtype=arithmetic(z.dtype))
    return loss, torch.empty_like(loss), torch.empty_like(loss)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.temperature = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(*tensors, *output[1:])


def _backward(ctx: Any, g_loss: Tensor, g_lse: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    z, *positives, lse, count = ctx.saved_tensors
    g = g_loss * count.sign()
    a = g / (-ctx.temperature * count.clamp(min=1))
    dz = torch.ops.smoothswap.supcon_lse_grad(g + g_lse, z, lse, ctx.temperature)
    pull = torch.ops.smoothswap.positive_pull(a, z, *positives)
    # In place where no second derivative is asked for: a gradient may be as large as all else together.
    dz = dz + pull if torch.is_grad_enabled() else dz.add_(pull)
    return dz.to(z.dtype), None, None, None, None


def _composed(
    z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, of ops that each know their tangents."""
    lse = torch.ops.smoothswap.supcon_lse(z, temperature)
    v = z.to(lse.dtype)
    similar = (v * positive_sum(v, labels, offsets, indices)).sum(1)
    count = positive_sum(torch.ones_like(lse)[:, None], labels, offsets, indices)[:, 0]
    return torch.where(count > 0, lse - similar / (temperature * count.clamp(min=1)), 0), lse, count


define(
    "supcon_loss",
    "(Tensor z, Tensor? labels, Tensor? offsets, Tensor? indices, float temperature)"
    " -> (Tensor loss, Tensor lse, Tensor count)",
    run=loss_of_anchors,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=_composed,
)
