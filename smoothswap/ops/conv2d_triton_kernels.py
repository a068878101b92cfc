"""Triton kernels of a convolution whose channels are scaled per sample before and after: implicit GEMMs.

The naive version writes x·s, or worse the weights of every sample, and reads and writes the result once each for
demodulation, noise, bias and activation. Here the scale goes onto the tile of x on its way to the tensor cores, all
samples share one weight, and the rest happens to the accumulator: x and w are read, y is written once.

`conv2d_kernel` computes pixels × output channels of one sample, summing over taps × input channels; with the adjoint's
weight it is the input gradient. `conv2d_weight_kernel` computes output × input channels of one tap, summing over
the pixels of some samples; the sums of the parts are added up in a fixed order afterwards.

Triton 3.6's interpreter cannot count up to an argument under NumPy 2.4, so it gets the ends of loops as constants too.
"""

import triton
import triton.language as tl

from smoothswap.ops.bias_act_triton_kernels import activate, limit


@triton.jit
def conv2d_kernel(
    x_ptr,  # [N, I, H, W]
    w_ptr,  # [KH, KW, O, I], I contiguous
    y_ptr,  # [N, O, OH, OW]
    before_ptr,  # [N, I]
    after_ptr,  # [N, O]
    noise_ptr,  # broadcast to y's shape by strides of zero
    bias_ptr,  # [O]
    I,
    O,
    H,
    W,
    OW,
    pixels,  # OH · OW
    KW,
    steps,  # KH · KW · ⌈I / BK⌉
    left,
    top,
    tiles_p,
    tiles_o,
    xs_n,
    xs_c,
    xs_y,
    xs_x,
    ys_n,
    ys_c,
    ys_y,
    ys_x,
    ws_y,
    ws_x,
    ws_o,
    ns_n,
    ns_c,
    ns_y,
    ns_x,
    alpha: tl.float64,
    gain: tl.float64,
    clamp: tl.float64,
    STRIDE: tl.constexpr,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    NOISE: tl.constexpr,  # "none", "pixel": the same for all channels, or "all"
    BIAS: tl.constexpr,
    ACT: tl.constexpr,
    GAIN: tl.constexpr,
    CLAMP: tl.constexpr,
    COUNTED: tl.constexpr,  # steps for the interpreter, else 0
    WHOLE: tl.constexpr,  # I is a multiple of BK
    PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
    BP: tl.constexpr,
    BO: tl.constexpr,
    BK: tl.constexpr,
):
    """Y = clamp(gain · φ(after · C(before · x, w) + noise + bias)), C correlating with a stride."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    program = tl.program_id(0)
    # Neighbouring programs share pixels: the weight is small enough to stay in L2 anyway.
    tile_o = program % tiles_o
    program = program // tiles_o
    tile_p, n = program % tiles_p, program // tiles_p
    p = tile_p * BP + tl.arange(0, BP)
    o = tile_o * BO + tl.arange(0, BO)
    oy, ox = p // OW, p % OW
    here = p < pixels
    n_far = n
    if WIDE:
        n_far, oy, ox = n.to(tl.int64), oy.to(tl.int64), ox.to(tl.int64)
    iy0, ix0 = oy * STRIDE - top, ox * STRIDE - left
    x_ptr += n_far * xs_n
    k = tl.arange(0, BK)
    weights = w_ptr + o[None, :] * ws_o + k[:, None]
    acc = tl.zeros([BP, BO], T)
    chunks = tl.cdiv(I, BK)
    for step in range(steps if COUNTED == 0 else COUNTED):
        tap, chunk = step // chunks, step % chunks
        ky, kx = tap // KW, tap % KW
        iy, ix = iy0 + ky, ix0 + kx
        inside = here & (iy >= 0) & (iy < H) & (ix >= 0) & (ix < W)
        c = chunk * BK + k
        pixel = iy * xs_y + ix * xs_x
        at = weights + (ky * ws_y + kx * ws_x + chunk * BK)
        if WHOLE:
            a = tl.load(x_ptr + pixel[:, None] + c[None, :] * xs_c, inside[:, None], other=0.0)
            b = tl.load(at, (o < O)[None, :], other=0.0)
        else:
            a = tl.load(x_ptr + pixel[:, None] + c[None, :] * xs_c, inside[:, None] & (c < I)[None, :], other=0.0)
            b = tl.load(at, (o < O)[None, :] & (c < I)[:, None], other=0.0)
        if BEFORE:
            s = tl.load(before_ptr + n * I + c, c < I, other=0.0)
            a = a * s.to(a.dtype)[None, :]
        acc = tl.dot(a, b, acc, input_precision=PRECISION, out_dtype=T)
    good = here[:, None] & (o < O)[None, :]
    if AFTER:
        acc *= tl.load(after_ptr + n * O + o, o < O, other=0.0).to(T)[None, :]
    at_noise = n_far * ns_n + oy * ns_y + ox * ns_x
    if NOISE == "pixel":
        acc += tl.load(noise_ptr + at_noise, here, other=0.0).to(T)[:, None]
    elif NOISE == "all":
        acc += tl.load(noise_ptr + at_noise[:, None] + (o * ns_c)[None, :], good, other=0.0).to(T)
    if BIAS:
        acc += tl.load(bias_ptr + o, o < O, other=0.0).to(T)[None, :]
    acc = activate(acc, tl.full([], alpha, T), ACT)
    if GAIN:
        acc *= tl.full([], gain, T)
    if CLAMP:
        acc = limit(acc, tl.full([], clamp, T))
    out = n_far * ys_n + (oy * ys_y + ox * ys_x)[:, None] + (o * ys_c)[None, :]
    tl.store(y_ptr + out, acc.to(y_ptr.dtype.element_ty), good)


@triton.jit
def conv2d_weight_kernel(
    x_ptr,  # [N, I, H, W]
    g_ptr,  # [N, O, OH, OW]
    part_ptr,  # [parts, KH, KW, O, I], contiguous
    before_ptr,  # [N, I]
    after_ptr,  # [N, O]
    I,
    O,
    H,
    W,
    OW,
    pixels,  # OH · OW
    KW,
    taps,
    left,
    top,
    tiles_o,
    tiles_i,
    units,  # samples · chunks
    units_each,  # of one part
    chunks,  # of a sample's pixels
    blocks,  # of BP pixels in a chunk
    xs_n,
    xs_c,
    xs_y,
    xs_x,
    gs_n,
    gs_c,
    gs_y,
    gs_x,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    COUNTED_UNITS: tl.constexpr,  # units_each for the interpreter, else 0
    COUNTED_BLOCKS: tl.constexpr,  # blocks for the interpreter, else 0
    PRECISION: tl.constexpr,
    WIDE: tl.constexpr,
    BO: tl.constexpr,
    BI: tl.constexpr,
    BP: tl.constexpr,
):
    """Σ over some samples of after_o · before_i · Σ_p g_p x_{p+k−a}: one tap, a tile of output × input channels."""
    T: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    program = tl.program_id(0)
    tile_i = program % tiles_i
    program = program // tiles_i
    tile_o = program % tiles_o
    program = program // tiles_o
    tap, part = program % taps, program // taps
    ky, kx = tap // KW, tap % KW
    i = tile_i * BI + tl.arange(0, BI)
    o = tile_o * BO + tl.arange(0, BO)
    total = tl.zeros([BO, BI], T)
    for u in range(units_each if COUNTED_UNITS == 0 else COUNTED_UNITS):
        unit = part * units_each + u
        there = unit < units
        n, chunk = unit // chunks, unit % chunks
        first = chunk * blocks * BP
        end = tl.where(there, tl.minimum(first + blocks * BP, pixels), 0)
        n_far = n
        if WIDE:
            n_far = n.to(tl.int64)
        xs, gs = x_ptr + n_far * xs_n, g_ptr + n_far * gs_n
        acc = tl.zeros([BO, BI], T)
        for block in range(blocks if COUNTED_BLOCKS == 0 else COUNTED_BLOCKS):
            p = first + block * BP + tl.arange(0, BP)
            oy, ox = p // OW, p % OW
            if WIDE:
                oy, ox = oy.to(tl.int64), ox.to(tl.int64)
            iy, ix = oy + ky - top, ox + kx - left
            inside = (p < end) & (iy >= 0) & (iy < H) & (ix >= 0) & (ix < W)
            at_g = (oy * gs_y + ox * gs_x)[:, None] + (o * gs_c)[None, :]
            at_x = (iy * xs_y + ix * xs_x)[:, None] + (i * xs_c)[None, :]
            g = tl.load(gs + at_g, (p < end)[:, None] & (o < O)[None, :], other=0.0)
            x = tl.load(xs + at_x, inside[:, None] & (i < I)[None, :], other=0.0)
            acc = tl.dot(tl.trans(g), x, acc, input_precision=PRECISION, out_dtype=T)
        # The scales are the same for a sample's pixels: they wait for the sum.
        if BEFORE:
            acc *= tl.load(before_ptr + n * I + i, there & (i < I), other=0.0).to(T)[None, :]
        if AFTER:
            acc *= tl.load(after_ptr + n * O + o, there & (o < O), other=0.0).to(T)[:, None]
        total += acc
    out = (part * taps + tap).to(tl.int64) * O * I + o[:, None] * I + i[None, :]
    tl.store(part_ptr + out, total, (o < O)[:, None] & (i < I)[None, :])
