"""supcon_rows_lse and supcon_rows_grad: some rows against some columns, for batches spread over processes.

The rows r_i [n, D] are those of one process, the columns c_j [m, D] those of all, or of another. With s_ij = r_i·c_j/τ,
and column first + i left out for row i (it is the row itself; none is where there is no such column),

    lse_i   = log Σ_j exp s_ij
    drows_i = 1/τ Σ_j (g_i exp(s_ij − lse_i) + g_j exp(s_ij − lse_j)) c_j

where lse and g of the rows and of the columns are given, over whatever set they were taken. At rows = columns = z and
first = 0 they are supcon_lse and supcon_lse_grad. They have no gradients of their own.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from smoothswap.core.errors import DerivativeError
from smoothswap.ops import backend
from smoothswap.ops.define import define
from smoothswap.ops.layout import arithmetic, without_autocast
from smoothswap.ops.supcon_lse import rows_lse_reference, settled, tiles, without_self
from smoothswap.ops.transforms import refused


def rows_grad_reference(
    g_rows: Tensor,
    lse_rows: Tensor,
    rows: Tensor,
    g_columns: Tensor,
    lse_columns: Tensor,
    columns: Tensor,
    first: int,
    temperature: float,
) -> Tensor:
    """The gradient drows [n, D] in lse's dtype for rows [n, D], columns [m, D], and g and lse [n] and [m] of both."""
    with without_autocast(rows):
        rows, columns = (t.to(lse_rows.dtype) for t in (rows, columns))
        g_rows, lse_rows = settled(g_rows, lse_rows)
        g_columns, lse_columns = settled(g_columns, lse_columns)
        drows = rows.new_zeros(rows.shape)
        for part in tiles(rows.shape[0], columns.shape[0]):
            s = (rows[part] @ columns.T).div_(temperature)
            w = (s - lse_rows[part, None]).exp_().mul_(g_rows[part, None])
            w += s.sub_(lse_columns).exp_().mul_(g_columns)
            drows[part] = without_self(w, first + part.start, 0) @ columns
        return drows.div_(temperature)


def _run(rows: Tensor, columns: Tensor, first: int, temperature: float) -> Tensor:
    kernel = backend.choose("supcon_rows_lse", rows, columns)
    return kernel(rows, columns, first, temperature)  # type: ignore[no-any-return]


def _run_grad(
    g_rows: Tensor,
    lse_rows: Tensor,
    rows: Tensor,
    g_columns: Tensor,
    lse_columns: Tensor,
    columns: Tensor,
    first: int,
    temperature: float,
) -> Tensor:
    tensors = (g_rows, lse_rows, rows, g_columns, lse_columns, columns)
    return backend.choose("supcon_rows_grad", *tensors)(*tensors, first, temperature)  # type: ignore[no-any-return]


def _fake(rows: Tensor, columns: Tensor, first: int, temperature: float) -> Tensor:
    return rows.new_empty(rows.shape[0], dtype=arithmetic(rows.dtype))


def _fake_grad(
    g_rows: Tensor,
    lse_rows: Tensor,
    rows: Tensor,
    g_columns: Tensor,
    lse_columns: Tensor,
    columns: Tensor,
    first: int,
    temperature: float,
) -> Tensor:
    return rows.new_empty(rows.shape, dtype=lse_rows.dtype)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    pass


def _backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    # An op without a registered gradient would silently count as a constant.
    raise DerivativeError("supcon_rows_lse and supcon_rows_grad have no derivatives", hint=_INSTEAD)


_INSTEAD = "Use supcon_loss with all vectors on one process, which has first and second derivatives."


define(
    "supcon_rows_lse",
    "(Tensor rows, Tensor columns, int first, float temperature) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=refused("supcon_rows_lse", _INSTEAD),
)
define(
    "supcon_rows_grad",
    "(Tensor g_rows, Tensor lse_rows, Tensor rows, Tensor g_columns, Tensor lse_columns, Tensor columns, int first, "
    "float temperature) -> Tensor",
    run=_run_grad,
    fake=_fake_grad,
    setup=_setup,
    backward=_backward,
    composed=refused("supcon_rows_grad", _INSTEAD),
)
backend.attach("supcon_rows_lse", "reference", rows_lse_reference)
backend.attach("supcon_rows_grad", "reference", rows_grad_reference)
