"""Triton kernels of the log-sum-exp over all other vectors and of its gradient: the N × N matrix is never whole.

    lse_i = log Σ_{a≠i} exp s_ia,    dz_i = 1/τ Σ_{j≠i} G_ij z_j,    G_ij = g_i e^{s_ij − lse_i} + g_j e^{s_ij − lse_j}

with s_ij = z_i·z_j/τ. The naive version writes s, reads it for the maximum, the sum and the weights, and multiplies
twice for the gradient: 6 N²D operations and some 40 bytes a pair. Here s and G are symmetric, a tile at a time:

- `similarity_kernel`, N²D operations (the pairs j > i once) and N²/2 exponentials. A tile of 128 × 256 pairs gives
  partial maxima and sums to its rows, which the program carries on, and to its columns, which it writes: 8 bytes for
  128 pairs. It reads 2·(128 + 256)·D bytes for 2·128·256·D operations, 85 operations a byte, from L2: neighbouring
  programs share columns. `merge_kernel` adds the partial sums up. No atomics: the order follows from the shapes.
- `weights_kernel` and `product_kernel`, N²D and 2 N²D operations. 128 rows of a result with D = 512 are 64 Ki fp32
  values, as many as a processor has registers. One kernel from s to dz would have to hold 64 rows, or compute s anew
  for each slice of D (2 N²D more for each after the first), and could not use that G is symmetric: 4 N²D at best, at
  half the reuse. So G is written, in z's dtype, for blocks of at most 8,192 × 8,192 pairs (128 MiB), and multiplied by
  z twice, as G z_J for the rows and as Gᵀ z_I for the columns. Each 16-bit G is written once and read, for every 256
  columns of z, twice: with D = 512 10 bytes, 6 of them from memory where L2 serves the second reading, for 3,072
  operations. Devices have 200 to 300 operations a byte of memory.

Rows alone against columns alone, of other processes, have no symmetry: 2 N²D operations for each stage.

Exponentials are of base 2. A pair needs two of them, one for its row's scale and one for its column's; where the scales
in a tile lie within 2^64 of each other, one exponential about a common point serves both, and no digit is lost. A tile
is two halves beside each other, each with sums and exponentials of its own: its registers do not hold both at once.

All D are multiples of BK (the launcher pads with zeros). What Triton 3.6's interpreter cannot do under NumPy 2.4, count
from or to a number known at run time, it is spared: it goes through masked tiles as well.
"""

import triton
import triton.language as tl


@triton.jit
def products(a_ptr, b_ptr, i, j, R, C, D, CHUNKS: tl.constexpr, PRECISION: tl.constexpr, BK: tl.constexpr):
    """[rows i, columns j] and [rows i, the next columns] of a bᵀ; a [R, D], b [C, D], zero where i ≥ R or j ≥ C."""
    T: tl.constexpr = tl.float64 if a_ptr.dtype.element_ty == tl.float64 else tl.float32
    k = tl.arange(0, BK)
    a_at = a_ptr + i[:, None] * D + k[None, :]
    b_at = b_ptr + j[None, :] * D + k[:, None]
    left = tl.zeros([i.shape[0], j.shape[0]], T)
    right = tl.zeros([i.shape[0], j.shape[0]], T)
    next = j.shape[0] * D
    for _ in range(CHUNKS):
        a = tl.load(a_at, (i < R)[:, None], other=0.0)
        b = tl.load(b_at, (j < C)[None, :], other=0.0)
        c = tl.load(b_at + next, (j + j.shape[0] < C)[None, :], other=0.0)
        left = tl.dot(a, b, left, input_precision=PRECISION, out_dtype=T)
        right = tl.dot(a, c, right, input_precision=PRECISION, out_dtype=T)
        a_at += BK
        b_at += BK
    return left, right


@triton.jit
def finite(x):
    """X, with 0 for −∞: a point to measure exponents from, where there is nothing to measure."""
    return tl.where(x == float("-inf"), 0.0, x)


@triton.jit
def of_pairs(s, i, j, m, total, R, C, own, column_max_ptr, column_sum_ptr, edge):
    """Adds similarities s [rows i, columns j] with j > i to maxima and sums of the rows, and writes the columns'."""
    if edge:
        s = tl.where((j[None, :] > own + i[:, None]) & (j < C)[None, :] & (i < R)[:, None], s, float("-inf"))
    top_i, top_j = tl.max(s, 1), tl.max(s, 0)
    top = finite(tl.max(top_i, 0))
    low_i = tl.min(tl.where(top_i == float("-inf"), top, top_i), 0)
    low_j = tl.min(tl.where(top_j == float("-inf"), top, top_j), 0)
    m_new = tl.maximum(m, top_i)
    if top - tl.minimum(low_i, low_j) <= 64:
        p = tl.exp2(s - top)
        # A row of nothing but −∞ has no part in it: 0 · 1, not 0 · ∞.
        of_i = tl.sum(p, 1) * tl.exp2(tl.where(top_i == float("-inf"), 0.0, top - finite(m_new)))
        of_j = tl.sum(p, 0) * tl.exp2(tl.where(top_j == float("-inf"), 0.0, top - finite(top_j)))
    else:
        of_i = tl.sum(tl.exp2(s - finite(m_new)[:, None]), 1)
        of_j = tl.sum(tl.exp2(s - finite(top_j)[None, :]), 0)
    tl.store(column_max_ptr + j, top_j, j < C)
    tl.store(column_sum_ptr + j, of_j, j < C)
    return m_new, total * tl.exp2(m - finite(m_new)) + of_i


@triton.jit
def of_rows(s, i, j, m, total, C, own, edge):
    """Adds the similarities s [rows i, columns j] but those of rows with themselves to maxima and sums of the rows."""
    if edge:
        s = tl.where((j[None, :] != own + i[:, None]) & (j < C)[None, :], s, float("-inf"))
    m_new = tl.maximum(m, tl.max(s, 1))
    return m_new, total * tl.exp2(m - finite(m_new)) + tl.sum(tl.exp2(s - finite(m_new)[:, None]), 1)


@triton.jit(do_not_specialize=["R", "C", "blocks", "own"])
def similarity_kernel(
    rows_ptr,  # [R, D], from the band's first row on
    columns_ptr,  # [C, D]
    row_max_ptr,  # [spans, R]
    row_sum_ptr,  # [spans, R]
    column_max_ptr,  # [row blocks, C], −∞ where nothing is written
    column_sum_ptr,  # [row blocks, C]
    R,
    C,
    D,
    blocks,  # of rows
    own,  # the column that row 0 is itself
    scale: tl.float64,  # log₂ e / τ
    TRIANGLE: tl.constexpr,  # only j > i, for rows and for columns; else every j but i's own, for rows
    SPAN: tl.constexpr,  # tiles of columns that a program takes
    CHUNKS: tl.constexpr,
    INTERPRETED: tl.constexpr,
    PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """Maxima m and sums Σ 2^(s − m) of a block of rows over a span of columns, and of each tile's columns."""
    T: tl.constexpr = tl.float64 if rows_ptr.dtype.element_ty == tl.float64 else tl.float32
    block = tl.program_id(0) % blocks
    span = tl.program_id(0) // blocks
    factor = tl.full([], scale, T)
    i = block * BM + tl.arange(0, BM)
    first, last = 0, SPAN
    if not INTERPRETED:
        last = tl.minimum(SPAN, tl.cdiv(C, 2 * BN) - span * SPAN)
        if TRIANGLE:
            first = tl.maximum(0, (own + block * BM) // (2 * BN) - span * SPAN)
    m = tl.full([BM], float("-inf"), T)
    total = tl.zeros([BM], T)
    own_first = own + block * BM
    column_max_ptr += block.to(tl.int64) * C
    column_sum_ptr += block.to(tl.int64) * C
    for tile in range(first, last):
        start = (span * SPAN + tile) * 2 * BN
        j = start + tl.arange(0, BN)
        j_far = j.to(tl.int64) if WIDE else j
        left, right = products(rows_ptr, columns_ptr, i, j_far, R, C, D, CHUNKS, PRECISION, BK)
        edge = start + 2 * BN > C
        if TRIANGLE:
            edge = edge | (start < own_first + BM) | ((block + 1) * BM > R)
            m, total = of_pairs(left * factor, i, j, m, total, R, C, own, column_max_ptr, column_sum_ptr, edge)
            m, total = of_pairs(right * factor, i, j + BN, m, total, R, C, own, column_max_ptr, column_sum_ptr, edge)
        else:
            edge = edge | ((start < own_first + BM) & (start + 2 * BN > own_first))
            m, total = of_rows(left * factor, i, j, m, total, C, own, edge)
            m, total = of_rows(right * factor, i, j + BN, m, total, C, own, edge)
    at = span.to(tl.int64) * R + i
    tl.store(row_max_ptr + at, m, i < R)
    tl.store(row_sum_ptr + at, total, i < R)


@triton.jit(do_not_specialize=["n", "parts"])
def merge_kernel(
    part_max_ptr,  # [parts, n]
    part_sum_ptr,  # [parts, n]
    max_ptr,  # [n], read and written
    sum_ptr,  # [n], read and written
    n,
    parts,
    COUNTED: tl.constexpr,  # parts for the interpreter, else 0
    B: tl.constexpr,
):
    """Adds parts of sums to those so far, one after another."""
    e = tl.program_id(0) * B + tl.arange(0, B)
    m = tl.load(max_ptr + e, e < n, other=0.0)
    total = tl.load(sum_ptr + e, e < n, other=0.0)
    at = e.to(tl.int64)
    for _ in range(parts if COUNTED == 0 else COUNTED):
        part = tl.load(part_max_ptr + at, e < n, other=float("-inf"))
        # Where no program wrote, the sum is whatever was in memory.
        added = tl.load(part_sum_ptr + at, (e < n) & (part != float("-inf")), other=0.0)
        m_new = tl.maximum(m, part)
        total = total * tl.exp2(m - finite(m_new)) + added * tl.exp2(part - finite(m_new))
        m = m_new
        at += n
    tl.store(max_ptr + e, m, e < n)
    tl.store(sum_ptr + e, total, e < n)


@triton.jit
def store_weights(
    s, i, j, g_i, lse_i, g_columns_ptr, lse_columns_ptr, inverse, R, C, own, edge, out_ptr, SIDE: tl.constexpr
):
    """Writes G of similarities s [rows i, columns j] in base 2."""
    if edge:
        # Beyond R and C similarities are 0, which may be far above a lse: ∞ there would meet a vector of zeros.
        within = (i < R)[:, None] & (j < C)[None, :] & (j[None, :] != own + i[:, None])
        s = tl.where(within, s, float("-inf"))
    g_j = tl.load(g_columns_ptr + j, j < C, other=0.0).to(s.dtype)
    lse_j = tl.load(lse_columns_ptr + j, j < C, other=0.0).to(s.dtype)
    g_j, lse_j = scales(g_j, lse_j, inverse)
    # Only what takes part counts: the rest has lse = ∞, and 2^(s − ∞) = 0 whatever its s.
    high_i = tl.max(tl.where(lse_i == float("inf"), float("-inf"), lse_i), 0)
    high_j = tl.max(tl.where(lse_j == float("inf"), float("-inf"), lse_j), 0)
    low = tl.minimum(tl.min(lse_i, 0), tl.min(lse_j, 0))
    low = tl.where(low == float("inf"), 0.0, low)
    if tl.maximum(high_i, high_j) - low <= 64:
        f = (g_i * tl.exp2(low - lse_i))[:, None] + (g_j * tl.exp2(low - lse_j))[None, :]
        w = f * tl.exp2(tl.where(f == 0, 0.0, tl.minimum(s - low, 64.0)))
    else:
        # No s is above its lse, but by what both lose to rounding where they are huge.
        of_i, of_j = tl.minimum(s - lse_i[:, None], 0.0), tl.minimum(s - lse_j[None, :], 0.0)
        w = g_i[:, None] * tl.exp2(of_i) + g_j[None, :] * tl.exp2(of_j)
    tl.store(out_ptr + i[:, None] * SIDE + j[None, :], w.to(out_ptr.dtype.element_ty))


@triton.jit
def scales(g, lse, inverse):
    """G divided by the unit, and lse in base 2; 0 and ∞ where g = 0 or lse = −∞."""
    absent = (g == 0) | (lse == float("-inf"))
    log2e = tl.full([], 1.4426950408889634, lse.dtype)
    return tl.where(absent, 0.0, g * inverse), tl.where(absent, float("inf"), lse * log2e)


@triton.jit(do_not_specialize=["R", "C", "blocks", "own"])
def weights_kernel(
    rows_ptr,  # [R, D]
    columns_ptr,  # [C, D]
    g_rows_ptr,  # [R]
    g_columns_ptr,  # [C]
    lse_rows_ptr,  # [R]
    lse_columns_ptr,  # [C]
    unit_ptr,  # one number: what G is divided by
    out_ptr,  # [⌈R⌉, SIDE], whole tiles of it are written, with zeros beyond R and C
    R,
    C,
    D,
    blocks,  # of rows
    own,  # the column that row 0 is itself
    scale: tl.float64,  # log₂ e / τ
    SIDE: tl.constexpr,
    CHUNKS: tl.constexpr,
    PRECISION: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """A tile of G = (g_i e^{s − lse_i} + g_j e^{s − lse_j}) / unit, 0 where a vector meets itself."""
    T: tl.constexpr = tl.float64 if rows_ptr.dtype.element_ty == tl.float64 else tl.float32
    # Neighbouring programs share columns.
    block, tile = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    i, j = block * BM + tl.arange(0, BM), tile * 2 * BN + tl.arange(0, BN)
    left, right = products(rows_ptr, columns_ptr, i, j, R, C, D, CHUNKS, PRECISION, BK)
    factor, inverse = tl.full([], scale, T), 1 / tl.load(unit_ptr).to(T)
    g_i = tl.load(g_rows_ptr + i, i < R, other=0.0).to(T)
    lse_i = tl.load(lse_rows_ptr + i, i < R, other=0.0).to(T)
    g_i, lse_i = scales(g_i, lse_i, inverse)
    first = own + block * BM
    edge = (tile * 2 * BN < first + BM) & ((tile + 1) * 2 * BN > first)
    edge = edge | ((tile + 1) * 2 * BN > C) | ((block + 1) * BM > R)
    columns = g_columns_ptr, lse_columns_ptr
    store_weights(left * factor, i, j, g_i, lse_i, *columns, inverse, R, C, own, edge, out_ptr, SIDE)
    store_weights(right * factor, i, j + BN, g_i, lse_i, *columns, inverse, R, C, own, edge, out_ptr, SIDE)


@triton.jit(do_not_specialize=["R", "K", "steps"])
def product_kernel(
    g_ptr,  # [⌈R⌉, SIDE], or, transposed, [⌈K⌉, SIDE]; zero beyond R and K
    z_ptr,  # [K, stride]
    unit_ptr,  # one number: what G was divided by
    out_ptr,  # [R, D], read and written
    R,
    K,
    D,
    stride,
    steps,  # ⌈K / BK⌉
    scale: tl.float64,  # 1 / τ
    SIDE: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    COUNTED: tl.constexpr,  # steps for the interpreter, else 0
    PRECISION: tl.constexpr,
    BM: tl.constexpr,
    BD: tl.constexpr,
    BK: tl.constexpr,
):
    """Adds unit · scale · G z, or Gᵀ z, to a tile of the result."""
    T: tl.constexpr = tl.float64 if g_ptr.dtype.element_ty == tl.float64 else tl.float32
    # Neighbouring programs share G: z stays in L2 anyway.
    tiles = tl.cdiv(D, 2 * BD)
    block, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    i, d, k = block * BM + tl.arange(0, BM), tile * 2 * BD + tl.arange(0, BD), tl.arange(0, BK)
    ROW: tl.constexpr = 1 if TRANSPOSED else SIDE
    COLUMN: tl.constexpr = SIDE if TRANSPOSED else 1
    g_at = g_ptr + i[:, None] * ROW + k[None, :] * COLUMN
    z_at = z_ptr + k[:, None] * stride + d[None, :]
    left, right = tl.zeros([BM, BD], T), tl.zeros([BM, BD], T)
    for step in range(steps if COUNTED == 0 else COUNTED):
        there = (k < K - step * BK)[:, None]
        g = tl.load(g_at)
        y = tl.load(z_at, there & (d < stride)[None, :], other=0.0)
        z = tl.load(z_at + BD, there & (d + BD < stride)[None, :], other=0.0)
        left = tl.dot(g, y, left, input_precision=PRECISION, out_dtype=T)
        right = tl.dot(g, z, right, input_precision=PRECISION, out_dtype=T)
        g_at += BK * COLUMN
        z_at += BK * stride
    factor = tl.full([], scale, T) * tl.load(unit_ptr).to(T)
    at = out_ptr + i[:, None] * D + d[None, :]
    good = (i < R)[:, None]
    tl.store(at, tl.load(at, good & (d < D)[None, :], other=0.0) + left * factor, good & (d < D)[None, :])
    good = good & (d + BD < D)[None, :]
    tl.store(at + BD, tl.load(at + BD, good, other=0.0) + right * factor, good)
