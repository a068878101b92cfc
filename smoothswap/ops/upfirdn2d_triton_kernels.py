"""Triton kernels of upfirdn2d; fp32 inside (fp64 for fp64).

The naive version reads all Kh·Kw taps' pixels for each output, zeros between pixels included. Here:

- four by four taps at factor 1, up 2 and down 2 (StyleGAN's [1, 3, 3, 1]): a program walks down a strip of rows, reads
  each row once (shifted for the taps, from L1) and carries what its pixels give to the rows still to come;
- everything else: each output gathers the taps that meet a pixel, Kh·Kw / (up·up) of them.

Tiles are [columns, channels], so that NHWC runs along channels, 16 bytes a thread, and NCHW along columns; a "channel"
of a contiguous NCHW tensor is any of its B·C planes. Taps are read in the kernel: nothing is copied to the host.
Row i of x lies at row i; h is the filter as a correlation, mirrored if MIRROR. `zero` is 0: shifted rows are
never aligned, and hiding the alignment from the compiler keeps neighbouring lanes on neighbouring columns. Numbers come
as fp64 and are narrowed at once, so that fp64 tensors meet them whole.
"""

import triton
import triton.language as tl


@triton.jit
def _tap(f_ptr, ky, kx, size_y, size_x, step_y, step_x, SEPARABLE: tl.constexpr, MIRROR: tl.constexpr, T: tl.constexpr):
    """h[ky, kx] of a filter [size_y, size_x], or of the outer product of [size_x] with itself."""
    if MIRROR:
        ky, kx = size_y - 1 - ky, size_x - 1 - kx
    if SEPARABLE:
        return tl.load(f_ptr + ky * step_x).to(T) * tl.load(f_ptr + kx * step_x).to(T)
    return tl.load(f_ptr + ky * step_y + kx * step_x).to(T)


@triton.jit
def _place(strips, tiles_x, tiles_c, WIDE: tl.constexpr, ROWS: tl.constexpr, BX: tl.constexpr, BC: tl.constexpr):
    """What this program computes: sample, channels [1, BC], first row, first column."""
    program = tl.program_id(0)
    tile_x = program % tiles_x
    program = program // tiles_x
    strip = program % strips
    program = program // strips
    tile_c, n = program % tiles_c, program // tiles_c
    if WIDE:
        n, strip, tile_x, tile_c = n.to(tl.int64), strip.to(tl.int64), tile_x.to(tl.int64), tile_c.to(tl.int64)
    c = tile_c * BC + tl.arange(0, BC)[None, :]
    return n, c, strip * ROWS, tile_x * BX


@triton.jit
def _taps4x4(f_ptr, gain, step_y, step_x, SEPARABLE: tl.constexpr, MIRROR: tl.constexpr, T: tl.constexpr):
    """The sixteen taps times the gain, row by row."""
    return (
        _tap(f_ptr, 0, 0, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 0, 1, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 0, 2, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 0, 3, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 1, 0, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 1, 1, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 1, 2, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 1, 3, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 2, 0, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 2, 1, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 2, 2, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 2, 3, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 3, 0, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 3, 1, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 3, 2, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
        _tap(f_ptr, 3, 3, 4, 4, step_y, step_x, SEPARABLE, MIRROR, T) * gain,
    )


@triton.jit(do_not_specialize=["zero"])
def filter4_kernel(
    x_ptr,  # [N, C, H, W]
    f_ptr,  # [4, 4] or [4]
    y_ptr,  # [N, C, OH, OW]
    gain: tl.float64,
    C,
    H,
    W,
    OH,
    OW,
    left,
    top,
    strips,
    tiles_x,
    tiles_c,
    xs_n,
    xs_c,
    xs_y,
    xs_x,
    ys_n,
    ys_c,
    ys_y,
    ys_x,
    fs_y,
    fs_x,
    zero,
    NHWC: tl.constexpr,
    SEPARABLE: tl.constexpr,
    MIRROR: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    BX: tl.constexpr,
    BC: tl.constexpr,
):
    """y_j = gain · Σ_k h_k x_{j+k−a}: row r gives h_k to output row r + a − k, which is done with k = 3."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    n, c, first, column = _place(strips, tiles_x, tiles_c, WIDE, ROWS, BX, BC)
    j = column + tl.arange(0, BX)[:, None]
    h = _taps4x4(f_ptr, tl.full([], gain, T), fs_y, fs_x, SEPARABLE, MIRROR, T)
    h00, h01, h02, h03, h10, h11, h12, h13, h20, h21, h22, h23, h30, h31, h32, h33 = h
    i = j - left
    off0 = n * xs_n + c * xs_c + i * xs_x
    if not NHWC:
        off0 += zero
    off1, off2, off3 = off0 + xs_x, off0 + 2 * xs_x, off0 + 3 * xs_x
    in0 = (c < C) & (i >= 0) & (i < W)
    in1 = (c < C) & (i >= -1) & (i + 1 < W)
    in2 = (c < C) & (i >= -2) & (i + 2 < W)
    in3 = (c < C) & (i >= -3) & (i + 3 < W)
    out = n * ys_n + c * ys_c + j * ys_x
    if not NHWC:
        out += zero
    inside = (c < C) & (j < OW)
    one = tl.zeros([BX, BC], T)  # the output row that lacks one more input row, and those that lack two and three
    two = tl.zeros([BX, BC], T)
    three = tl.zeros([BX, BC], T)
    for r in tl.static_range(ROWS + 3):
        row = first + r - top
        here, inside_y = row * xs_y, (row >= 0) & (row < H)
        p0 = tl.load(x_ptr + here + off0, in0 & inside_y, other=0.0).to(T)
        p1 = tl.load(x_ptr + here + off1, in1 & inside_y, other=0.0).to(T)
        p2 = tl.load(x_ptr + here + off2, in2 & inside_y, other=0.0).to(T)
        p3 = tl.load(x_ptr + here + off3, in3 & inside_y, other=0.0).to(T)
        if r >= 3:
            y = one + h30 * p0 + h31 * p1 + h32 * p2 + h33 * p3
            tl.store(y_ptr + (first + r - 3) * ys_y + out, y.to(y_ptr.dtype.element_ty), inside & (first + r - 3 < OH))
        one = two + h20 * p0 + h21 * p1 + h22 * p2 + h23 * p3
        two = three + h10 * p0 + h11 * p1 + h12 * p2 + h13 * p3
        three = h00 * p0 + h01 * p1 + h02 * p2 + h03 * p3


@triton.jit(do_not_specialize=["zero"])
def down4_kernel(
    x_ptr,  # [N, C, H, W]
    f_ptr,  # [4, 4] or [4]
    y_ptr,  # [N, C, OH, OW]
    gain: tl.float64,
    C,
    H,
    W,
    OH,
    OW,
    left,
    top,
    strips,
    tiles_x,
    tiles_c,
    xs_n,
    xs_c,
    xs_y,
    xs_x,
    ys_n,
    ys_c,
    ys_y,
    ys_x,
    fs_y,
    fs_x,
    zero,
    NHWC: tl.constexpr,
    SEPARABLE: tl.constexpr,
    MIRROR: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    BX: tl.constexpr,
    BC: tl.constexpr,
):
    """y_j = gain · Σ_k h_k x_{2j+k−a}: a pair of rows ends one output row and begins the next."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    n, c, first, column = _place(strips, tiles_x, tiles_c, WIDE, ROWS, BX, BC)
    j = column + tl.arange(0, BX)[:, None]
    h = _taps4x4(f_ptr, tl.full([], gain, T), fs_y, fs_x, SEPARABLE, MIRROR, T)
    h00, h01, h02, h03, h10, h11, h12, h13, h20, h21, h22, h23, h30, h31, h32, h33 = h
    i = 2 * j - left
    off0 = n * xs_n + c * xs_c + i * xs_x
    if not NHWC:
        off0 += zero
    off1, off2, off3 = off0 + xs_x, off0 + 2 * xs_x, off0 + 3 * xs_x
    in0 = (c < C) & (i >= 0) & (i < W)
    in1 = (c < C) & (i >= -1) & (i + 1 < W)
    in2 = (c < C) & (i >= -2) & (i + 2 < W)
    in3 = (c < C) & (i >= -3) & (i + 3 < W)
    out = n * ys_n + c * ys_c + j * ys_x
    if not NHWC:
        out += zero
    inside = (c < C) & (j < OW)
    begun = tl.zeros([BX, BC], T)
    for r in tl.static_range(ROWS + 1):
        row = 2 * (first + r) - top
        here, inside_y, inside_z = row * xs_y, (row >= 0) & (row < H), (row >= -1) & (row + 1 < H)
        p0 = tl.load(x_ptr + here + off0, in0 & inside_y, other=0.0).to(T)
        p1 = tl.load(x_ptr + here + off1, in1 & inside_y, other=0.0).to(T)
        p2 = tl.load(x_ptr + here + off2, in2 & inside_y, other=0.0).to(T)
        p3 = tl.load(x_ptr + here + off3, in3 & inside_y, other=0.0).to(T)
        q0 = tl.load(x_ptr + here + xs_y + off0, in0 & inside_z, other=0.0).to(T)
        q1 = tl.load(x_ptr + here + xs_y + off1, in1 & inside_z, other=0.0).to(T)
        q2 = tl.load(x_ptr + here + xs_y + off2, in2 & inside_z, other=0.0).to(T)
        q3 = tl.load(x_ptr + here + xs_y + off3, in3 & inside_z, other=0.0).to(T)
        if r >= 1:
            y = begun + h20 * p0 + h21 * p1 + h22 * p2 + h23 * p3 + h30 * q0 + h31 * q1 + h32 * q2 + h33 * q3
            tl.store(y_ptr + (first + r - 1) * ys_y + out, y.to(y_ptr.dtype.element_ty), inside & (first + r - 1 < OH))
        begun = h00 * p0 + h01 * p1 + h02 * p2 + h03 * p3 + h10 * q0 + h11 * q1 + h12 * q2 + h13 * q3


@triton.jit
def _phases(p0, p1, p2, a, b, c, d, ODD: tl.constexpr):
    """Outputs 2t and 2t + 1 along a row, from pixels i, i + 1, i + 2 with i = t − padding // 2, for taps a, b, c, d."""
    if ODD:
        even, odd = b * p0 + d * p1, a * p0 + c * p1
    else:
        even, odd = a * p0 + c * p1, b * p1 + d * p2
    return even, odd


@triton.jit
def _store_pair(pointer, even, odd, in_even, in_odd, in_both, both, step, NHWC: tl.constexpr):
    """Stores two neighbouring columns of one row: in NCHW side by side, in NHWC each along the channels."""
    T: tl.constexpr = pointer.dtype.element_ty
    if NHWC:
        tl.store(pointer + both, even.to(T), in_even)
        tl.store(pointer + both + step, odd.to(T), in_odd)
    else:
        BX: tl.constexpr = even.shape[0]
        BC: tl.constexpr = even.shape[1]
        y = tl.reshape(tl.permute(tl.join(even, odd), (0, 2, 1)), [2 * BX, BC])
        tl.store(pointer + both, y.to(T), in_both)


@triton.jit(do_not_specialize=["zero"])
def up4_kernel(
    x_ptr,  # [N, C, H, W]
    f_ptr,  # [4, 4] or [4]
    y_ptr,  # [N, C, OH, OW]
    gain: tl.float64,
    C,
    H,
    W,
    OH,
    OW,
    left,  # padding // 2
    top,
    strips,
    tiles_x,
    tiles_c,
    xs_n,
    xs_c,
    xs_y,
    xs_x,
    ys_n,
    ys_c,
    ys_y,
    ys_x,
    fs_y,
    fs_x,
    zero,
    NHWC: tl.constexpr,
    ODD_X: tl.constexpr,  # padding mod 2
    ODD_Y: tl.constexpr,
    EVEN_ROWS: tl.constexpr,  # the rows of y begin at even offsets
    SEPARABLE: tl.constexpr,
    MIRROR: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    BX: tl.constexpr,
    BC: tl.constexpr,
):
    """y_j = gain · Σ_k h_k v_{j+k−a}, v_{2i} = x_i: row r ends two output rows that row r − 1 began."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    n, c, first, column = _place(strips, tiles_x, tiles_c, WIDE, ROWS, BX, BC)
    j = column + tl.arange(0, BX)[:, None]
    h = _taps4x4(f_ptr, tl.full([], gain, T), fs_y, fs_x, SEPARABLE, MIRROR, T)
    h00, h01, h02, h03, h10, h11, h12, h13, h20, h21, h22, h23, h30, h31, h32, h33 = h
    i = j - left
    off0 = n * xs_n + c * xs_c + i * xs_x
    if not NHWC:
        off0 += zero
    off1, off2 = off0 + xs_x, off0 + 2 * xs_x
    in0 = (c < C) & (i >= 0) & (i < W)
    in1 = (c < C) & (i >= -1) & (i + 1 < W)
    in2 = (c < C) & (i >= -2) & (i + 2 < W)
    even_in, odd_in = (c < C) & (2 * j < OW), (c < C) & (2 * j + 1 < OW)
    out = n * ys_n + c * ys_c + 2 * j * ys_x
    both_in = even_in
    if not NHWC:
        jj = 2 * column + tl.arange(0, 2 * BX)[:, None]
        both_in = (c < C) & (jj < OW)
        out = n * ys_n + c * ys_c + jj * ys_x
        out += zero
        if EVEN_ROWS:
            out = tl.multiple_of(out, (2, 1))  # a thread stores its pair at once; more would go through shared memory
    begun0_even, begun0_odd = tl.zeros([BX, BC], T), tl.zeros([BX, BC], T)
    begun1_even, begun1_odd = tl.zeros([BX, BC], T), tl.zeros([BX, BC], T)
    for r in tl.static_range(ROWS + 1):
        row = first + r - top
        here, inside_y = row * xs_y, (row >= 0) & (row < H)
        p0 = tl.load(x_ptr + here + off0, in0 & inside_y, other=0.0).to(T)
        p1 = tl.load(x_ptr + here + off1, in1 & inside_y, other=0.0).to(T)
        p2 = p1
        if not ODD_X:
            p2 = tl.load(x_ptr + here + off2, in2 & inside_y, other=0.0).to(T)
        if r >= 1:
            even, odd = _phases(p0, p1, p2, h30, h31, h32, h33, ODD_X)
            oy = 2 * (first + r - 1) - (1 - ODD_Y)
            good = (oy >= 0) & (oy < OH)
            _store_pair(
                y_ptr + oy * ys_y,
                *(begun1_even + even, begun1_odd + odd, even_in & good, odd_in & good, both_in & good, out, ys_x, NHWC),
            )
            even, odd = _phases(p0, p1, p2, h20, h21, h22, h23, ODD_X)
            good = oy + 1 < OH
            _store_pair(
                y_ptr + (oy + 1) * ys_y,
                *(begun0_even + even, begun0_odd + odd, even_in & good, odd_in & good, both_in & good, out, ys_x, NHWC),
            )
        begun0_even, begun0_odd = _phases(p0, p1, p2, h00, h01, h02, h03, ODD_X)
        begun1_even, begun1_odd = _phases(p0, p1, p2, h10, h11, h12, h13, ODD_X)


@triton.jit
def _first(j, padding, lift, UP: tl.constexpr, DOWN: tl.constexpr):
    """For output j: the first tap that meets a pixel, and that pixel; lift · UP ≥ padding keeps quotients positive."""
    start = j * DOWN - padding
    if UP == 1:
        return start * 0, start
    i = (start + (lift + 1) * UP - 1) // UP - lift
    return i * UP - start, i


@triton.jit
def gather_kernel(
    x_ptr,  # [N, C, H, W]
    f_ptr,  # [size_y, size_x] or [size_x]
    y_ptr,  # [N, C, OH, OW]
    gain: tl.float64,
    C,
    H,
    W,
    OW,
    pixels,  # OH · OW
    left,
    top,
    lift_x,
    lift_y,
    size_y,
    size_x,
    tiles_p,
    tiles_c,
    xs_n,
    xs_c,
    xs_y,
    xs_x,
    ys_n,
    ys_c,
    ys_y,
    ys_x,
    fs_y,
    fs_x,
    UP_X: tl.constexpr,
    UP_Y: tl.constexpr,
    DOWN_X: tl.constexpr,
    DOWN_Y: tl.constexpr,
    TAPS_X: tl.constexpr,  # at most that many meet a pixel: ⌈size / up⌉
    TAPS_Y: tl.constexpr,
    FILTER: tl.constexpr,
    SEPARABLE: tl.constexpr,
    MIRROR: tl.constexpr,
    WIDE: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
):
    """Any filter, factors and padding: each output pixel gathers its taps."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    program = tl.program_id(0)
    tile_p = program % tiles_p
    program = program // tiles_p
    tile_c, n = program % tiles_c, program // tiles_c
    if WIDE:
        n, tile_p, tile_c = n.to(tl.int64), tile_p.to(tl.int64), tile_c.to(tl.int64)
    c = tile_c * BC + tl.arange(0, BC)[None, :]
    p = tile_p * BP + tl.arange(0, BP)[:, None]
    oy, ox = p // OW, p % OW
    ky0, iy0 = _first(oy, top, lift_y, UP_Y, DOWN_Y)
    kx0, ix0 = _first(ox, left, lift_x, UP_X, DOWN_X)
    inside = (c < C) & (p < pixels)
    base = n * xs_n + c * xs_c
    y = tl.zeros([BP, BC], T)
    for my in range(TAPS_Y):
        ky, iy = ky0 + my * UP_Y, iy0 + my
        for mx in range(TAPS_X):
            kx, ix = kx0 + mx * UP_X, ix0 + mx
            good = inside & (ky < size_y) & (kx < size_x) & (iy >= 0) & (iy < H) & (ix >= 0) & (ix < W)
            pixel = tl.load(x_ptr + base + iy * xs_y + ix * xs_x, good, other=0.0).to(T)
            if FILTER:
                # A tap beyond the filter meets a masked pixel, whose value is 0; only its address must be inside.
                ty, tx = tl.minimum(ky, size_y - 1), tl.minimum(kx, size_x - 1)
                y += pixel * _tap(f_ptr, ty, tx, size_y, size_x, fs_y, fs_x, SEPARABLE, MIRROR, T)
            else:
                y += pixel
    out = n * ys_n + c * ys_c + oy * ys_y + ox * ys_x
    tl.store(y_ptr + out, (y * tl.full([], gain, T)).to(y_ptr.dtype.element_ty), inside)
