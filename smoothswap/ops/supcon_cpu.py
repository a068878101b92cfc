"""supcon_lse, its gradient and their rectangular forms in C++ on the CPU (csrc/cpu/supcon_kernel.cpp)."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import arithmetic


def run(z: Tensor, temperature: float) -> Tensor:
    """The lse [N] for z [N, D]."""
    lse = torch.empty(z.shape[0], dtype=arithmetic(z.dtype))
    torch.ops.smoothswap_native.supcon_lse(z.contiguous(), lse, temperature)
    return lse


def run_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    """The gradient dz [N, D] for g [N], z [N, D] and lse [N]."""
    dz = torch.empty(z.shape, dtype=lse.dtype)
    torch.ops.smoothswap_native.supcon_lse_grad(g.contiguous(), z.contiguous(), lse.contiguous(), dz, temperature)
    return dz


def run_rows(rows: Tensor, columns: Tensor, first: int, temperature: float) -> Tensor:
    """The lse [n] of rows [n, D] over columns [m, D] but column first + i."""
    lse = torch.empty(rows.shape[0], dtype=arithmetic(rows.dtype))
    torch.ops.smoothswap_native.supcon_rows_lse(rows.contiguous(), columns.contiguous(), lse, first, temperature)
    return lse


def run_rows_grad(
    g_rows: Tensor,
    lse_rows: Tensor,
    rows: Tensor,
    g_columns: Tensor,
    lse_columns: Tensor,
    columns: Tensor,
    first: int,
    temperature: float,
) -> Tensor:
    """The gradient drows [n, D], with g and lse of the rows [n] and of the columns [m]."""
    drows = torch.empty(rows.shape, dtype=lse_rows.dtype)
    tensors = (t.contiguous() for t in (g_rows, lse_rows, rows, g_columns, lse_columns, columns))
    torch.ops.smoothswap_native.supcon_rows_grad(*tensors, drows, first, temperature)
    return drows


def _in_arithmetic(*numbers: Tensor, z: Tensor) -> str | None:
    wide = arithmetic(z.dtype)
    if all(t.dtype == wide for t in numbers):
        return None
    return f"the cpu kernel takes g and lse in {wide} for vectors of {z.dtype}"


def _grad_objection(*tensors: Tensor) -> str | None:
    return _in_arithmetic(tensors[0], tensors[2], z=tensors[1]) if tensors else None


def _rows_objection(*tensors: Tensor) -> str | None:
    if not tensors or tensors[0].dtype == tensors[1].dtype:
        return None
    return "the cpu kernel takes rows and columns of one dtype"


def _rows_grad_objection(*tensors: Tensor) -> str | None:
    if not tensors:
        return None
    g_rows, lse_rows, rows, g_columns, lse_columns, columns = tensors
    return _rows_objection(rows, columns) or _in_arithmetic(g_rows, lse_rows, g_columns, lse_columns, z=rows)


backend.attach("supcon_lse", "cpu", run)
backend.attach("supcon_lse_grad", "cpu", run_grad, _grad_objection)
backend.attach("supcon_rows_lse", "cpu", run_rows, _rows_objection)
backend.attach("supcon_rows_grad", "cpu", run_rows_grad, _rows_grad_objection)
