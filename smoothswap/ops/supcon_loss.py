"""supcon_loss: supervised contrastive loss without the N × N matrix.

For vectors z_i with labels l_i, s_ij = z_i·z_j/τ and P(i) = {p ≠ i: l_p = l_i} (Khosla et al. 2020, the form "out"):

    L_i = lse_i − 1/|P(i)| Σ_{p∈P(i)} s_ip,          lse_i = log Σ_{a≠i} exp s_ia,         L_i = 0 where P(i) is empty

With A_ij = [l_i = l_j, i ≠ j] the positives need no mask: Σ_p s_ip = z_i·(A z)_i/τ, and A v is a class sum less v. The
other term is walked in tiles of rows. With w_ij = exp(s_ij − lse_i) and g the gradient of lse,

    dz_i = 1/τ Σ_j (g_i w_ij + g_j w_ji) z_j

is an op of its own, whose gradient is written out below: so the loss is twice differentiable. Everything accumulates in
fp32 (fp64 for fp64), in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.define import define
from smoothswap.ops.layout import arithmetic, without_autocast

_TILE = 1 << 21  # similarities held at a time: 8 MiB of fp32


def supcon_loss(z: Tensor, labels: Tensor, temperature: float = 0.07, reduction: str = "mean") -> Tensor:
    """Supervised contrastive loss of vectors with labels.

    Args:
        z: vectors [N, D], usually of unit length; fp64, fp32, bf16 or fp16 (the last two are computed in fp32).
        labels: integers [N]; equal labels are positives of each other.
        temperature: τ > 0 that divides the similarities.
        reduction: "mean" over the anchors that have a positive (0 where none has), "sum", or "none".

    Returns:
        A scalar, or [N] for "none", where anchors without positives hold 0; fp32, or fp64 for fp64. Never NaN for
        finite z.

    Raises:
        ArgumentError: wrong rank, dtype, device or length, a temperature ≤ 0 or not finite, or an unknown reduction.
    """
    op = "supcon_loss"
    checks.floating(op, "z", z)
    checks.rank(op, "z", z, [2], "[N, D]")
    checks.rank(op, "labels", labels, [1], "[N]")
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise ArgumentError(f"{op}: labels have dtype {labels.dtype}, expected integers such as int64")
    checks.shape(op, "labels", labels, z.shape[:1], f"one label for each row of z: {checks.about(z)}")
    checks.same_device(op, "z", z, "labels", labels)
    checks.finite(op, "temperature", temperature)
    if temperature <= 0:
        raise ArgumentError(f"{op}: temperature is {temperature}, expected more than 0")
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{op}: unknown reduction {reduction!r}, expected mean, sum or none")
    loss, _ = torch.ops.smoothswap.supcon_loss(z, labels.long(), float(temperature))
    if reduction == "none":
        return loss  # type: ignore[no-any-return]
    if reduction == "sum":
        return loss.sum()  # type: ignore[no-any-return]
    return loss.sum() / _positives(labels.long(), loss.dtype).sign().sum().clamp(min=1)  # type: ignore[no-any-return]


def _positives(labels: Tensor, dtype: torch.dtype) -> Tensor:
    """|P(i)| [N]."""
    ones = torch.ones(labels.shape[0], 1, dtype=dtype, device=labels.device)
    return torch.ops.smoothswap.same_label_sum(ones, labels)[:, 0]  # type: ignore[no-any-return]


def _tiles(n: int) -> Iterator[slice]:
    """Slices of rows whose similarities fit the tile."""
    rows = max(1, min(n, _TILE // max(n, 1)))
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def _without_self(matrix: Tensor, rows: slice, value: float) -> Tensor:
    """Writes `value` where a row [rows, N] meets itself."""
    matrix.diagonal(rows.start).fill_(value)
    return matrix


def same_label_sum_reference(v: Tensor, labels: Tensor) -> Tensor:
    """(A v)_i = Σ over j ≠ i of the same label; v [N, D], labels [N] → [N, D]."""
    if v.shape[0] == 0:
        return v.clone()
    _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    # Sums over runs of equal labels: in a fixed order on every device, unlike index_add.
    sums = torch.segment_reduce(v[inverse.argsort(stable=True)], "sum", lengths=counts)
    # An anchor alone gets an exact zero, not the rounding error of v − v.
    others: Tensor = (sums[inverse] - v) * (counts[inverse] > 1).to(v.dtype)[:, None]
    return others


def reference(z: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Loss [N] and lse [N] for z [N, D], in tiles of rows."""
    with without_autocast(z):
        z = z.detach().to(arithmetic(z.dtype))
        lse = z.new_empty(z.shape[0])
        for rows in _tiles(z.shape[0]):
            s = _without_self((z[rows] @ z.T).div_(temperature), rows, -math.inf)
            lse[rows] = torch.logsumexp(s, 1)
        positives = same_label_sum_reference(z.new_ones(z.shape[0], 1), labels)[:, 0]
        dot = (z * same_label_sum_reference(z, labels)).sum(1)
        # One vector alone has lse = −∞ and no positive: where, not multiplication, keeps NaN out.
        mean = dot / (temperature * positives.clamp(min=1))
        return torch.where(positives > 0, lse - mean, 0), torch.where(lse.isneginf(), 0, lse)


def lse_grad_reference(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    """Gradient dz [N, D] of z for the gradient g [N] of lse [N]."""
    dz = torch.zeros_like(z)
    for rows in _tiles(z.shape[0]):
        w = (z[rows] @ z.T).div_(temperature).sub_(lse[rows, None]).exp_().mul_(g[rows, None])
        w = _without_self(w, rows, 0)
        dz[rows] += w @ z
        dz += w.T @ z[rows]
    return dz.div_(temperature)


def lse_grad_grad_reference(h: Tensor, g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Gradients of ⟨h, dz⟩ by g [N] and by z [N, D], at fixed lse; h [N, D].

    ⟨h, dz⟩ = 1/τ Σ_ij g_i w_ij e_ij with e_ij = h_i·z_j + z_i·h_j.
    """
    dg, dz = torch.zeros_like(g), torch.zeros_like(z)
    for rows in _tiles(z.shape[0]):
        w = (z[rows] @ z.T).div_(temperature).sub_(lse[rows, None]).exp_()
        w = _without_self(w, rows, 0)
        e = (h[rows] @ z.T).addmm_(z[rows], h.T).div_(temperature)
        dg[rows] = (w * e).sum(1)
        w = w.mul_(g[rows, None])
        dz[rows] += w @ h
        dz += w.T @ h[rows]
        w = w.mul_(e)
        dz[rows] += w @ z
        dz += w.T @ z[rows]
    return dg, dz.div_(temperature)


def _run(z: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return backend.choose("supcon_loss", z, labels)(z, labels, temperature)  # type: ignore[no-any-return]


def _run_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    return backend.choose("supcon_lse_grad", g, z, lse)(g, z, lse, temperature)  # type: ignore[no-any-return]


def _fake(z: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    loss = z.new_empty(z.shape[0], dtype=arithmetic(z.dtype))
    return loss, torch.empty_like(loss)


def _fake_sum(v: Tensor, labels: Tensor) -> Tensor:
    return v.new_empty(v.shape)


def _fake_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    return torch.empty_like(z)


def _fake_grad_grad(h: Tensor, g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(g), torch.empty_like(z)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    z, labels, ctx.temperature = inputs
    ctx.save_for_backward(z, labels, output[1])


def _backward(ctx: Any, g_loss: Tensor, g_lse: Tensor) -> tuple[Tensor | None, ...]:
    z, labels, lse = ctx.saved_tensors
    wide = z.to(lse.dtype)
    positives = _positives(labels, wide.dtype)
    g = g_loss * positives.sign()
    dz = torch.ops.smoothswap.supcon_lse_grad(g + g_lse, wide, lse, ctx.temperature)
    a = (g / positives.clamp(min=1))[:, None]
    same = torch.ops.smoothswap.same_label_sum
    dz = dz - (a * same(wide, labels) + same(a * wide, labels)) / ctx.temperature
    return dz.to(z.dtype), None, None


def _setup_sum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _backward_sum(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.smoothswap.same_label_sum(g, *ctx.saved_tensors), None


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.temperature = inputs
    ctx.save_for_backward(*tensors)


def _backward_grad(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
    g, z, lse = ctx.saved_tensors
    dg, dz = torch.ops.smoothswap.supcon_lse_grad_grad(h, g, z, lse, ctx.temperature)
    return dg, dz, -g * dg, None


def _setup_grad_grad(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    pass


def _backward_grad_grad(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    # An op without a registered gradient would silently count as a constant.
    raise NotImplementedError("supcon_loss has first and second derivatives, no third")


define(
    "supcon_loss",
    "(Tensor z, Tensor labels, float temperature) -> (Tensor loss, Tensor lse)",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
)
define(
    "same_label_sum",
    "(Tensor v, Tensor labels) -> Tensor",
    run=same_label_sum_reference,
    fake=_fake_sum,
    setup=_setup_sum,
    backward=_backward_sum,
)
define(
    "supcon_lse_grad",
    "(Tensor g, Tensor z, Tensor lse, float temperature) -> Tensor",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
)
define(
    "supcon_lse_grad_grad",
    "(Tensor h, Tensor g, Tensor z, Tensor lse, float temperature) -> (Tensor dg, Tensor dz)",
    run=lse_grad_grad_reference,
    fake=_fake_grad_grad,
    setup=_setup_grad_grad,
    backward=_backward_grad_grad,
)
backend.attach("supcon_loss", "reference", reference)
backend.attach("supcon_lse_grad", "reference", lse_grad_reference)
