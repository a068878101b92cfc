"""Log-sum-exp over all other vectors and its gradient in Triton (supcon_triton_kernels): bands, blocks, tiles.

Everything is decided by shapes and dtypes, so that the same call gives the same bits, and nothing waits for the device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from smoothswap.ops import backend
from smoothswap.ops.conv2d_triton import precision
from smoothswap.ops.layout import arithmetic
from smoothswap.ops.triton_runtime import device_objection, far, interpreted, on_device, power_of_two

_PARTS = 1 << 26  # bytes of partial sums held at a time
_BAND = 8192  # rows at a time
_PROGRAMS = 1024  # enough to keep every processor of a large device busy
_PROCESSORS = 128


class Tile(NamedTuple):
    """Shape of a program's tile.

    Attributes:
        rows: of the result.
        columns: of the result.
        depth: of a step of the product.
        warps: that share it.
    """

    rows: int
    columns: int
    depth: int
    warps: int


def run_lse(z: Tensor, temperature: float) -> Tensor:
    """The op's arguments; z [N, D] → [N]."""
    z = _prepared(z)
    return _lse(z, z, 0, temperature, triangle=True)


def run_rows_lse(rows: Tensor, columns: Tensor, first: int, temperature: float) -> Tensor:
    """The op's arguments; rows [n, D], columns [m, D] → [n]."""
    return _lse(_prepared(rows), _prepared(columns), first, temperature, triangle=False)


def run_lse_grad(g: Tensor, z: Tensor, lse: Tensor, temperature: float) -> Tensor:
    """The op's arguments; g and lse [N], z [N, D] → [N, D]."""
    N, x, dz = z.shape[0], _prepared(z), z.new_zeros(z.shape, dtype=lse.dtype)
    if dz.numel() == 0:
        return dz
    g, lse = g.contiguous(), lse.contiguous()
    unit = _unit(x, g, lse)
    side, scratch = _scratch(x, N, N)
    for i in range(0, N, side):
        rows = slice(i, min(i + side, N))
        for j in range(i, N, side):
            columns = slice(j, min(j + side, N))
            of_rows, of_columns = (g[rows], lse[rows], x[rows]), (g[columns], lse[columns], x[columns])
            _weights(*of_rows, *of_columns, 0 if i == j else -side, temperature, unit, scratch)
            _add_product(scratch, x[columns], dz[rows], temperature, unit, transposed=False)
            if i != j:
                _add_product(scratch, x[rows], dz[columns], temperature, unit, transposed=True)
    return dz


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
    """The op's arguments; g_rows, lse_rows [n], rows [n, D], g_columns, lse_columns [m], columns [m, D] → [n, D]."""
    dz = rows.new_zeros(rows.shape, dtype=lse_rows.dtype)
    if dz.numel() == 0 or columns.shape[0] == 0:
        return dz
    g_rows, lse_rows, g_columns, lse_columns = (t.contiguous() for t in (g_rows, lse_rows, g_columns, lse_columns))
    x, c = _prepared(rows), _prepared(columns)
    unit = torch.maximum(_unit(x, g_rows, lse_rows), _unit(c, g_columns, lse_columns))
    side, scratch = _scratch(x, x.shape[0], c.shape[0])
    for i in range(0, x.shape[0], side):
        part = slice(i, min(i + side, x.shape[0]))
        for j in range(0, c.shape[0], side):
            other = slice(j, min(j + side, c.shape[0]))
            of_rows, of_columns = (
                (g_rows[part], lse_rows[part], x[part]),
                (g_columns[other], lse_columns[other], c[other]),
            )
            _weights(*of_rows, *of_columns, _apart(first + i - j), temperature, unit, scratch)
            _add_product(scratch, c[other], dz[part], temperature, unit, transposed=False)
    return dz


def _prepared(z: Tensor) -> Tensor:
    """Z [N, D] in whole rows of a multiple of a tile's depth, with zeros after D; a copy only where it is not so."""
    if interpreted() and z.dtype == torch.bfloat16:
        z = z.float()  # the interpreter multiplies bf16's bits
    depth = _depth(z)
    return pad(z, [0, -(-max(z.shape[1], 1) // depth) * depth - z.shape[1]]).contiguous()


def _depth(z: Tensor) -> int:
    """What a step of a product sums over: 128 bytes of each vector, or less for short ones."""
    return min(max(power_of_two(max(z.shape[1], 1)), 16), 128 // min(max(z.element_size(), 2), 4))


def _widest(z: Tensor) -> int:
    """Columns of the widest tile: from sm_90 on tensor cores read both operands from shared memory, not registers."""
    return 256 if interpreted() or torch.cuda.get_device_capability(z.device)[0] >= 9 else 128


def _tile(z: Tensor) -> Tile:
    """Tile of similarities."""
    if z.element_size() == 2:
        return Tile(128, _widest(z), _depth(z), 8)
    return Tile(128, 128, _depth(z), 8) if precision(z) == "tf32" else Tile(64, 64, _depth(z), 4)


def _product_tile(z: Tensor, rows: int, D: int) -> Tile:
    """Tile of a result [rows, D]: the largest that gives every processor one."""
    side = min(max(power_of_two(D), 32), 128)
    if z.element_size() == 2:
        widest = min(max(power_of_two(D), 32), _widest(z))
        choices = [Tile(128, widest, 64, 8), Tile(128, side, 64, 8), Tile(64, side, 64, 4)]
    elif precision(z) == "tf32":
        choices = [Tile(128, side, 32, 8), Tile(64, side, 32, 4)]
    else:
        choices = [Tile(64, min(side, 64), 32, 4)]
    return next((t for t in choices if -(-rows // t.rows) * -(-D // t.columns) >= _PROCESSORS), choices[-1])


def _apart(own: int) -> int:
    """The column in which row 0 meets itself, moved to where an int32 holds it if it is far outside."""
    return max(min(own, 2**30), -(2**30))


def _lse(rows: Tensor, columns: Tensor, own: int, temperature: float, *, triangle: bool) -> Tensor:
    """Log-sum-exp [R] for rows [R, D] over columns [C, D]; triangle: they are the same tensor."""
    from smoothswap.ops import supcon_triton_kernels as kernels

    wide, device = arithmetic(rows.dtype), rows.device
    R, C, tile = rows.shape[0], columns.shape[0], _tile(rows)
    top = torch.full([R], -math.inf, dtype=wide, device=device)
    total = torch.zeros_like(top)
    if R == 0 or C == 0:
        return top
    each = 2 * top.element_size() * C
    band = min(_BAND, R) if not triangle else tile.rows * max(1, min(_BAND // tile.rows, _PARTS // each))
    tiles = -(-C // tile.columns)
    span = min(power_of_two(max(1, -(-min(band, R) // tile.rows) * tiles // _PROGRAMS)), 16)
    for start in range(0, R, band):
        x = rows[start : start + band]
        y = columns[start:] if triangle else columns
        n, blocks = y.shape[0], -(-x.shape[0] // tile.rows)
        spans = -(-n // (span * tile.columns))
        by_row = torch.empty([2, spans, x.shape[0]], dtype=wide, device=device)
        by_column = torch.empty([2, blocks, n] if triangle else [2, 0, 0], dtype=wide, device=device)
        by_column[0].fill_(-math.inf)
        with on_device(rows):
            kernels.similarity_kernel[(blocks * spans,)](
                *(x, y, *by_row, *by_column, x.shape[0], n, y.shape[1], blocks),
                *(0 if triangle else _apart(own + start), math.log2(math.e) / temperature),
                TRIANGLE=triangle,
                SPAN=span,
                CHUNKS=y.shape[1] // tile.depth,
                INTERPRETED=interpreted(),
                PRECISION=precision(rows),
                WIDE=far(y),
                BM=tile.rows,
                BN=tile.columns // 2,
                BK=tile.depth,
                num_warps=tile.warps,
                num_stages=3,
            )
        if triangle:
            _merge(by_column, top[start:], total[start:])
        _merge(by_row, top[start : start + band], total[start : start + band])
    return (top + total.log2()) * math.log(2)


def _merge(parts: Tensor, top: Tensor, total: Tensor) -> None:
    """Adds parts [2, parts, n], maxima and sums, to those so far, both [n], in place."""
    from smoothswap.ops import supcon_triton_kernels as kernels

    with on_device(top):
        kernels.merge_kernel[(-(-top.shape[0] // 128),)](
            *(*parts, top, total, top.shape[0], parts.shape[1]),
            COUNTED=parts.shape[1] if interpreted() else 0,
            B=128,
            num_warps=4,
        )


def _unit(z: Tensor, g: Tensor, lse: Tensor) -> Tensor:
    """What G is divided by [1]: its terms are 1 at most then, in fp16 2⁸, so that its least are not lost."""
    largest = g.masked_fill(lse.isneginf(), 0).abs().amax(0, keepdim=True) if g.numel() else g.new_zeros(1)
    largest = largest.masked_fill(largest == 0, 1)
    return largest / 256 if z.dtype == torch.float16 else largest


def _scratch(z: Tensor, rows: int, columns: int) -> tuple[int, Tensor]:
    """Rows and columns of a block of G, and room for it."""
    tile = _tile(z)
    whole = max(tile.rows, tile.columns)
    largest = max(whole, (_BAND if z.element_size() == 2 else _BAND // 2) // whole * whole)
    side = min(largest, whole * -(-max(rows, columns) // whole))
    return side, torch.empty([min(side, whole * -(-rows // whole)), side], dtype=z.dtype, device=z.device)


def _weights(
    g_rows: Tensor,
    lse_rows: Tensor,
    rows: Tensor,
    g_columns: Tensor,
    lse_columns: Tensor,
    columns: Tensor,
    own: int,
    temperature: float,
    unit: Tensor,
    scratch: Tensor,
) -> None:
    """Writes G / unit for rows [R, D] and columns [C, D] into scratch, where row 0 is itself the column `own`."""
    from smoothswap.ops import supcon_triton_kernels as kernels

    tile = _tile(rows)
    blocks, tiles = -(-rows.shape[0] // tile.rows), -(-columns.shape[0] // tile.columns)
    with on_device(rows):
        kernels.weights_kernel[(blocks * tiles,)](
            *(rows, columns, g_rows, g_columns, lse_rows, lse_columns, unit, scratch),
            *(rows.shape[0], columns.shape[0], rows.shape[1], blocks, own, math.log2(math.e) / temperature),
            SIDE=scratch.shape[1],
            CHUNKS=rows.shape[1] // tile.depth,
            PRECISION=precision(rows),
            BM=tile.rows,
            BN=tile.columns // 2,
            BK=tile.depth,
            num_warps=tile.warps,
            num_stages=3,
        )


def _add_product(
    scratch: Tensor, z: Tensor, out: Tensor, temperature: float, unit: Tensor, *, transposed: bool
) -> None:
    """Adds unit / τ · G z, or Gᵀ z, to out [R, D]; z [K, stride] with stride ≥ D."""
    from smoothswap.ops import supcon_triton_kernels as kernels

    tile = _product_tile(z, *out.shape)
    steps = -(-z.shape[0] // tile.depth)
    with on_device(z):
        kernels.product_kernel[(-(-out.shape[0] // tile.rows) * -(-out.shape[1] // tile.columns),)](
            *(scratch, z, unit, out, *out.shape[:1], z.shape[0], out.shape[1], z.shape[1], steps, 1 / temperature),
            SIDE=scratch.shape[1],
            TRANSPOSED=transposed,
            COUNTED=steps if interpreted() else 0,
            PRECISION=precision(z),
            BM=tile.rows,
            BD=tile.columns // 2,
            BK=tile.depth,
            num_warps=tile.warps,
            num_stages=3,
        )


def _objection(*tensors: Tensor | None) -> str | None:
    if reason := device_objection(*tensors):
        return reason
    if interpreted():
        return None
    for z in tensors:
        if z is None or z.ndim != 2:
            continue
        if z.dtype == torch.float64:
            return "the triton kernel has no fp64: tensor cores are what it is for"
        if z.dtype == torch.float32 and precision(z) == "ieee" and backend.asked_for() != "triton":
            return "fp32 without TF32 uses no tensor cores, and is left to PyTorch unless triton is asked for by name"
    return None


_LIMITS = "fp64, and fp32 without TF32"
backend.attach("supcon_lse", "triton", run_lse, _objection, _LIMITS)
backend.attach("supcon_lse_grad", "triton", run_lse_grad, _objection, _LIMITS)
backend.attach("supcon_rows_lse", "triton", run_rows_lse, _objection, _LIMITS)
backend.attach("supcon_rows_grad", "triton", run_rows_grad, _objection, _LIMITS)
