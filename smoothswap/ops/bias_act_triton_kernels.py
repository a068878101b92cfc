"""Triton kernels of bias_act and its gradient: one pass over the elements, fp32 inside (fp64 for fp64).

The naive version reads and writes the tensor once for each of bias, activation, gain and clamp; these read it once and
write it once (the gradient reads two tensors and writes one). The dense tensor is seen as a matrix [rows, cols] such
that the bias runs along rows or along columns: no element has to divide its offset to find its channel.
"""

import triton
import triton.language as tl


@triton.jit
def exp_minus_1(x):
    """e^x − 1 without cancellation (Kahan): the error of the rounded e^x cancels in (u − 1) / log u."""
    u = tl.exp(x)
    # Where u is 1, 0 or infinite the quotient is not defined; the limits are x, −1 and ∞.
    plain = (u == 1.0) | (u - 1.0 == -1.0) | (u == float("inf"))
    limit = tl.where(u == 1.0, x, u - 1.0)
    return tl.where(plain, limit, (u - 1.0) * x / tl.log(tl.where(plain, 2.0, u)))


@triton.jit
def log_1_plus(x):
    """log(1 + x) for x in [0, 1] without cancellation (Kahan)."""
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * x / tl.where(u == 1.0, 1.0, u - 1.0))


@triton.jit
def sigmoid(x):
    """1 / (1 + e^−x)."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):
    """Tanh x, accurate near zero as well: in fp32 a polynomial there (Cephes), in fp64 e^x − 1."""
    a = tl.abs(x)
    if x.dtype == tl.float64:
        e = exp_minus_1(-2.0 * a)
        y = -e / (e + 2.0)
    else:
        z = a * a
        p = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
        y = tl.where(a < 0.625, a + a * z * (p - 3.33332819422e-1), 1.0 - 2.0 / (tl.exp(2.0 * a) + 1.0))
    return tl.where(x < 0.0, -y, y)


@triton.jit
def activate(x, alpha, ACT: tl.constexpr):
    """φ(x); NaN stays NaN."""
    if ACT == "relu":
        x = tl.where(x < 0.0, 0.0, x)
    elif ACT == "lrelu":
        x = tl.where(x > 0.0, x, x * alpha)
    elif ACT == "tanh":
        x = tanh(x)
    elif ACT == "sigmoid":
        x = sigmoid(x)
    elif ACT == "elu":
        x = tl.where(x > 0.0, x, exp_minus_1(x))
    elif ACT == "selu":
        x = 1.0507009873554805 * tl.where(x > 0.0, x, 1.6732632423543772 * exp_minus_1(x))
    elif ACT == "softplus":
        x = tl.where(x > 0.0, x, 0.0 * x) + log_1_plus(tl.exp(-tl.abs(x)))
    elif ACT == "swish":
        x = x * sigmoid(x)
    return x


@triton.jit
def slope(t, alpha, ACT: tl.constexpr):
    """φ'(x) as a function of t = φ(x), for swish of x itself."""
    one = t * 0.0 + 1.0
    if ACT == "relu":
        one = tl.where(t > 0.0, 1.0, 0.0).to(t.dtype)
    elif ACT == "lrelu":
        one = tl.where(t > 0.0, one, one * alpha)
    elif ACT == "tanh":
        one = 1.0 - t * t
    elif ACT == "sigmoid":
        one = t * (1.0 - t)
    elif ACT == "elu":
        one = tl.where(t > 0.0, 1.0, t + 1.0)
    elif ACT == "selu":
        one = tl.where(t > 0.0, 1.0507009873554805, t + 1.0507009873554805 * 1.6732632423543772)
    elif ACT == "softplus":
        one = -exp_minus_1(-t)
    elif ACT == "swish":
        s = sigmoid(t)
        one = s * (1.0 + t * (1.0 - s))
    return one


@triton.jit
def limit(y, clamp):
    """Y clamped to ±clamp; NaN stays NaN."""
    return tl.where(y > clamp, clamp, tl.where(y < -clamp, -clamp, y)).to(y.dtype)


@triton.jit
def _tile(rows, cols, tiles, WIDE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Offset of this program's tile, offsets in it and their mask [ROWS, COLS], its rows and columns."""
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    row = program // tiles * ROWS
    col = program % tiles * COLS
    r, c = tl.arange(0, ROWS)[:, None], tl.arange(0, COLS)[None, :]
    # What is left of the tensor, not the position, is compared: it fits 32 bits however large the tensor is.
    left_rows, left_cols = tl.minimum(rows - row, ROWS).to(tl.int32), tl.minimum(cols - col, COLS).to(tl.int32)
    return row * cols + col, r * cols + c, (r < left_rows) & (c < left_cols), row, col


@triton.jit
def bias_act_kernel(
    x_ptr,  # [rows, cols]
    b_ptr,  # [channels]
    y_ptr,  # [rows, cols]
    rows,
    cols,
    channels,
    tiles,  # of COLS columns in a row
    alpha: tl.float64,
    gain: tl.float64,
    clamp: tl.float64,
    ACT: tl.constexpr,
    BIAS: tl.constexpr,  # "none", "row": channel = row mod channels, or "col": channel = column
    CLAMP: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Y = clamp(gain · φ(x + b))."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    alpha, gain, clamp = tl.full([], alpha, T), tl.full([], gain, T), tl.full([], clamp, T)
    start, offsets, mask, row, col = _tile(rows, cols, tiles, WIDE, ROWS, COLS)
    x = tl.load(x_ptr + start + offsets, mask, other=0.0).to(T)
    if BIAS == "row":
        r = row + tl.arange(0, ROWS)[:, None]
        x += tl.load(b_ptr + r % channels).to(T)
    elif BIAS == "col":
        # Of the tile's shape: loaded as one row, it would draw the tile through shared memory to meet it.
        c = tl.broadcast_to(col + tl.arange(0, COLS)[None, :], [ROWS, COLS])
        x += tl.load(b_ptr + c, c < cols, other=0.0).to(T)
    y = activate(x, alpha, ACT) * gain
    if CLAMP:
        y = limit(y, clamp)
    tl.store(y_ptr + start + offsets, y.to(y_ptr.dtype.element_ty), mask)


@triton.jit
def bias_act_grad_kernel(
    g_ptr,  # [rows, cols], gradient of y
    ref_ptr,  # [rows, cols], y or x + b
    dx_ptr,  # [rows, cols]
    rows,
    cols,
    tiles,
    alpha: tl.float64,
    gain: tl.float64,
    clamp: tl.float64,
    ACT: tl.constexpr,
    FROM_OUTPUT: tl.constexpr,
    CLAMP: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Dx = g · gain · φ'(x + b) where y is not clamped, else 0."""
    T: tl.constexpr = tl.float64 if g_ptr.dtype.element_ty == tl.float64 else tl.float32
    alpha, gain, clamp = tl.full([], alpha, T), tl.full([], gain, T), tl.full([], clamp, T)
    start, offsets, mask, _, _ = _tile(rows, cols, tiles, WIDE, ROWS, COLS)
    g = tl.load(g_ptr + start + offsets, mask, other=0.0).to(T)
    ref = tl.load(ref_ptr + start + offsets, mask, other=0.0).to(T)
    if FROM_OUTPUT:
        t = ref / gain
        y = ref
    else:
        t = activate(ref, alpha, ACT)
        y = t * gain
        if ACT == "swish" or ACT == "lrelu":  # a negative slope hides the sign of x in φ(x)
            t = ref
    factor = slope(t, alpha, ACT) * gain
    if CLAMP:
        factor *= tl.where(tl.abs(y) < clamp, 1.0, 0.0).to(T)
    tl.store(dx_ptr + start + offsets, (g * factor).to(dx_ptr.dtype.element_ty), mask)
