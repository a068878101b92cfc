"""supcon_lse: for each of N vectors, log Σ exp of its similarities with all others, never holding N × N of them.

    lse_i = log Σ_{j≠i} exp s_ij,     s_ij = z_i·z_j/τ

With w_ij = exp(s_ij − lse_i) and g the gradient of lse,

    dz_i = 1/τ Σ_{j≠i} (g_i w_ij + g_j w_ji) z_j

is an op of its own, whose gradient is written out below: so lse is twice differentiable. The references walk in tiles
of rows. Everything accumulates in fp32 (fp64 for fp64), in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import DerivativeError
from smoothswap.ops import backend
from smoothswap.ops.define import define
from smoothswap.ops.layout import arithmetic, without_autocast
from smoothswap.ops.transforms import refused

_TILE = 1 << 21  # similarities held at a time: 8 MiB of fp32


def tiles(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows whose similarities with all columns fit the tile."""
    step = max(1, min(rows, _TILE // max(columns, 1)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def without_self(matrix: Tensor, offset: int, value: float) -> Tensor:
    """Writes `value` into column offset + i of row i, where there is one."""
    if -matrix.shape[0] < offset < matrix.shape[1]:
        matrix.diagonal(offset).fill_(value)
    return matrix


def settled(g: Tensor, lse: Tensor) -> tuple[Tensor, Tensor]:
    """Such g [N] and lse [N] that vectors without others, or without a gradient, give exact zeros."""
    off = lse.isneginf() | (g == 0)
    return g.masked_fill(off, 0), lse.masked_fill(off, math.inf)


def rows_lse_reference(rows: Tensor, columns: Tensor, first: int, temperature: float) -> Tensor:
    """The lse [n] in the arithmetic's dtype of rows [n, D] over columns [m, D] but column first + i; −∞ of none."""
    with without_autocast(rows):
        rows, columns = (t.to(arithmetic(t.dtype)) for t in (rows, columns))
        lse = rows.new_full((rows.shape[0],), -math.inf)
        if columns.shape[0] == 0:
            return lse
        for part in tiles(rows.shape[0], columns.shape[0]):
            s = (rows[part] @ columns.T).div_(temperature)
            lse[part] = torch.logsumexp(without_self(s, first + part.start, -math.inf), 1)
        return lse


def lse_reference(z: Tensor, temperature: float) -> Tensor:
    """The lse [N] in the arithmetic's dtype for z [N, D]; −∞ where there is no other."""
    return rows_lse_reference(z, z, 0, temperature)


def lse_grad_reference(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    """Gradient dz [N, D], in lse's dtype, of z [N, D] for the gradient g [N] of lse [N]."""
    with without_autocast(z):
        z = z.to(lse.dtype)
        g, lse = settled(g, lse)
        dz = torch.zeros_like(z, memory_format=torch.contiguous_format)
        for rows in tiles(z.shape[0], z.shape[0]):
            w = (z[rows] @ z.T).div_(temperature).sub_(lse[rows, None]).exp_().mul_(g[rows, None])
            w = without_self(w, rows.start, 0)
            dz[rows] += w @ z
            dz += w.T @ z[rows]
        return dz.div_(temperature)


def lse_grad_grad_reference(h: Tensor, g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Gradients of ⟨h, dz⟩ by g [N] and by z [N, D], at fixed lse, in lse's dtype; h [N, D].

    ⟨h, dz⟩ = 1/τ Σ_ij g_i w_ij e_ij with e_ij = h_i·z_j + z_i·h_j.
    """
    with without_autocast(z):
        z = z.to(lse.dtype)
        dg, dz = torch.zeros_like(g), torch.zeros_like(z, memory_format=torch.contiguous_format)
        # Not where g is 0: its own gradient is asked for.
        lse = lse.masked_fill(lse.isneginf(), math.inf)
        for rows in tiles(z.shape[0], z.shape[0]):
            w = (z[rows] @ z.T).div_(temperature).sub_(lse[rows, None]).exp_()
            w = without_self(w, rows.start, 0)
            e = (h[rows] @ z.T).addmm_(z[rows], h.T).div_(temperature)
            dg[rows] = (w * e).sum(1)
            w = w.mul_(g[rows, None])
            dz[rows] += w @ h
            dz += w.T @ h[rows]
            w = w.mul_(e)
            dz[rows] += w @ z
            dz += w.T @ z[rows]
        return dg, dz.div_(temperature)


def _run(z: Tensor, temperature: float) -> Tensor:
    return backend.choose("supcon_lse", z)(z, temperature)  # type: ignore[no-any-return]


def _run_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    return backend.choose("supcon_lse_grad", g, z, lse)(g, z, lse, temperature)  # type: ignore[no-any-return]


def _fake(z: Tensor, temperature: float) -> Tensor:
    return z.new_empty(z.shape[0], dtype=arithmetic(z.dtype))


def _fake_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    return z.new_empty(z.shape, dtype=lse.dtype)


def _fake_grad_grad(h: Tensor, g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(g), z.new_empty(z.shape, dtype=lse.dtype)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    z, ctx.temperature = inputs
    ctx.save_for_backward(z, output)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    z, lse = ctx.saved_tensors
    return torch.ops.smoothswap.supcon_lse_grad(g, z, lse, ctx.temperature).to(z.dtype), None


def _setup_grad(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.temperature = inputs
    ctx.save_for_backward(*tensors)


def _backward_grad(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
    g, z, lse = ctx.saved_tensors
    dg, dz = torch.ops.smoothswap.supcon_lse_grad_grad(h, g, z, lse, ctx.temperature)
    return dg, dz.to(z.dtype), -g * dg, None


def _setup_grad_grad(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    pass


def _backward_grad_grad(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    # An op without a registered gradient would silently count as a constant.
    raise DerivativeError("supcon_loss has first and second derivatives, no third", hint=_INSTEAD)


def _composed(z: Tensor, temperature: float) -> Tensor:
    """The lse [N] of z [N, D], of ops that have every derivative; some rows at a time."""
    with without_autocast(z):
        z = z.to(arithmetic(z.dtype))
        if z.shape[0] < 2:
            return z.new_full(z.shape[:1], -math.inf)
        lse = []
        for rows in tiles(z.shape[0], z.shape[0]):
            s = _similarities(z, rows, temperature)
            most = s.detach().amax(1)  # not logsumexp, whose tangent has no gradient
            lse.append(most + (s - most[:, None]).exp().sum(1).log())
        return torch.cat(lse)


def _composed_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    """The gradient dz [N, D], likewise."""
    with without_autocast(z):
        z = z.to(lse.dtype)
        g, lse = settled(g, lse) if z.shape[0] < 2 else (g, lse)
        dz = torch.zeros_like(z)
        for rows in tiles(z.shape[0], z.shape[0]):
            w = (_similarities(z, rows, temperature) - lse[rows, None]).exp() * g[rows, None]
            dz = dz + w.T @ z[rows] + F.pad(w @ z, (0, 0, rows.start, z.shape[0] - rows.stop))
        return dz / temperature


def _similarities(z: Tensor, rows: slice, temperature: float) -> Tensor:
    """Similarities s [rows, N] of z [N, D]; −∞ of a vector with itself."""
    own = torch.arange(z.shape[0], device=z.device)
    return (z[rows] @ z.T / temperature).masked_fill(own[rows, None] == own, -math.inf)


_NO_THIRD = "a third derivative of supcon_loss"
_INSTEAD = (
    "Write the loss with its N × N similarities in stock PyTorch: torch.logsumexp has derivatives of every order."
)


define(
    "supcon_lse",
    "(Tensor z, float temperature) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=_composed,
)
define(
    "supcon_lse_grad",
    "(Tensor g, Tensor z, Tensor lse, float temperature) -> Tensor",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup_grad,
    backward=_backward_grad,
    composed=_composed_grad,
)
define(
    "supcon_lse_grad_grad",
    "(Tensor h, Tensor g, Tensor z, Tensor lse, float temperature) -> (Tensor dg, Tensor dz)",
    run=lse_grad_grad_reference,
    fake=_fake_grad_grad,
    setup=_setup_grad_grad,
    backward=_backward_grad_grad,
    composed=refused(_NO_THIRD, _INSTEAD),
)
backend.attach("supcon_lse", "reference", lse_reference)
backend.attach("supcon_lse_grad", "reference", lse_grad_reference)
