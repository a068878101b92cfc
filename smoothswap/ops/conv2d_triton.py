"""Launches of the convolution kernels (conv2d_triton_kernels): layouts, block sizes, phases where it is transposed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import arithmetic, memory_format
from smoothswap.ops.triton_runtime import device_objection, far, interpreted, on_device, power_of_two


def objection(x: Tensor | None) -> str | None:
    """Why the kernels cannot take x, or None."""
    if reason := device_objection(x):
        return reason
    if x is None or interpreted():
        return None
    if x.dtype == torch.float64:
        return "the triton kernel has no fp64: tensor cores are what it is for"
    if x.dtype == torch.float32 and precision(x) == "ieee" and backend.asked_for() != "triton":
        return "fp32 without TF32 uses no tensor cores, and is left to PyTorch unless triton is asked for by name"
    return None


def precision(x: Tensor) -> str:
    """What fp32 is multiplied in: TF32 where torch.backends.cuda.matmul.allow_tf32 says so."""
    return "tf32" if x.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32 else "ieee"


def correlate(
    x: Tensor,
    taps: Tensor,
    y: Tensor,
    padding: Sequence[int],
    *,
    stride: int = 1,
    before: Tensor | None = None,
    after: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    act: str = "linear",
    alpha: float = 0.0,
    gain: float = 1.0,
    clamp: float = -1.0,
) -> None:
    """Writes y = clamp(gain · φ(after · C(before · x, taps) + noise + bias)).

    Args:
        x: [N, I, H, W], quickest where channels_last.
        taps: [KH, KW, O, I], contiguous along I.
        y: [N, O, OH, OW], any strides; only this many pixels are computed.
        padding: (left, top); what lies beyond the other sides follows from y's size.
        stride: of the correlation.
        before: [N, I], contiguous; None: ones.
        after: [N, O], contiguous; None: ones.
        noise: broadcasts to y's shape; None: nothing.
        bias: [O], contiguous; None: nothing.
        act: activation, with alpha, gain and clamp as in bias_act.
        alpha: see act.
        gain: see act.
        clamp: see act.
    """
    from smoothswap.ops import conv2d_triton_kernels as kernels

    if y.numel() == 0:
        return
    (KH, KW, O, I), (H, W), (OH, OW) = taps.shape, x.shape[2:], y.shape[2:]
    pixels = OH * OW
    block_p, block_o, block_k = _blocks(pixels, O, I, x)
    tiles_p, tiles_o, chunks = -(-pixels // block_p), -(-O // block_o), -(-I // block_k)
    noise_strides = (0, 0, 0, 0) if noise is None else noise.expand(y.shape).stride()
    with on_device(x):
        kernels.conv2d_kernel[(x.shape[0] * tiles_p * tiles_o,)](
            *(t if t is not None else x for t in (x, taps, y, before, after, noise, bias)),
            *(I, O, H, W, OW, pixels, KW, KH * KW * chunks, *padding, tiles_p, tiles_o),
            *(*x.stride(), *y.stride(), *taps.stride()[:3], *noise_strides, alpha, gain, clamp),
            STRIDE=stride,
            BEFORE=before is not None,
            AFTER=after is not None,
            NOISE="none" if noise is None else "pixel" if noise_strides[1] == 0 else "all",
            BIAS=bias is not None,
            ACT=act,
            GAIN=gain != 1,
            CLAMP=clamp >= 0,
            COUNTED=KH * KW * chunks if interpreted() else 0,
            WHOLE=I % block_k == 0,
            PRECISION=precision(x),
            WIDE=far(x, y),
            BP=block_p,
            BO=block_o,
            BK=block_k,
            num_warps=8 if block_p * block_o >= 128 * 128 else 4,
            num_stages=3,
        )


def _widest(x: Tensor) -> int:
    """Side of the largest tile: without tensor cores a thread has to hold more of it."""
    return 128 if x.element_size() <= 2 or precision(x) == "tf32" else 64


def _blocks(pixels: int, O: int, I: int, x: Tensor) -> tuple[int, int, int]:
    """Pixels, output channels and input channels of a tile: at most 128 × 128 × 64, for small tensors less."""
    block_k = 64 if x.element_size() <= 2 else 32
    return (
        min(max(power_of_two(pixels), 16), _widest(x)),
        min(max(power_of_two(O), 16), _widest(x)),
        min(max(power_of_two(I), 16), block_k),
    )


def taps_of(weight: Tensor, adjoint: bool = False) -> Tensor:
    """Weight [O, I, kh, kw] as the kernel reads it, [kh, kw, O, I]; the adjoint's: [kh, kw, I, O], taps reversed."""
    taps = weight.flip([2, 3]).permute(2, 3, 1, 0) if adjoint else weight.permute(2, 3, 0, 1)
    return taps.contiguous()


def channels_last(x: Tensor) -> Tensor:
    """X as the kernels read it quickest; a copy where it is laid out otherwise."""
    return x if x.shape[1] == 1 else x.contiguous(memory_format=torch.channels_last)


def transposed(
    x: Tensor, taps: Tensor, y: Tensor, padding: Sequence[int], stride: int, **scales: Tensor | None
) -> None:
    """Correlates the zero-stuffed x, `stride` − 1 zeros after each pixel, by one small correlation for each phase of y.

    Args:
        x: [N, I, H, W].
        taps: [KH, KW, O, I].
        y: [N, O, OH, OW].
        padding: (left, top) of the zero-stuffed image.
        stride: its factor.
        scales: before and after, as for `correlate`.
    """
    left, top = padding
    for phase_y in range(stride):
        for phase_x in range(stride):
            first_y, first_x = (top - phase_y) % stride, (left - phase_x) % stride
            part, out = taps[first_y::stride, first_x::stride], y[:, :, phase_y::stride, phase_x::stride]
            if part.numel() == 0:
                out.zero_()
                continue
            inside = (left - phase_x - first_x) // stride, (top - phase_y - first_y) // stride
            correlate(x, part, out, inside, **scales)  # type: ignore[arg-type]


def weight_gradient(
    x: Tensor,
    g: Tensor,
    before: Tensor | None,
    after: Tensor | None,
    padding: Sequence[int],
    size: Sequence[int],
) -> Tensor:
    """Gradient of the weight of a correlation with stride 1; the same bits at every run.

    Args:
        x: [N, I, H, W].
        g: [N, O, OH, OW], gradient of the result.
        before: [N, I], contiguous; None: ones.
        after: [N, O], contiguous; None: ones.
        padding: (left, top).
        size: (kh, kw).

    Returns:
        [O, I, kh, kw] in fp32 (fp64 for fp64).
    """
    from smoothswap.ops import conv2d_triton_kernels as kernels

    (N, I, H, W), O, (KH, KW) = x.shape, g.shape[1], size
    wide = arithmetic(x.dtype)
    if g.numel() == 0 or x.numel() == 0:
        return x.new_zeros([O, I, KH, KW], dtype=wide)
    pixels, taps = g.shape[2] * g.shape[3], KH * KW
    block_o, block_i = (min(max(power_of_two(n), 16), _widest(x)) for n in (O, I))
    block_p = min(max(power_of_two(pixels), 16), 64 if x.element_size() <= 2 else 32)
    tiles_o, tiles_i = -(-O // block_o), -(-I // block_i)
    # Parts enough for two programs a processor of a large device; never so many that a part has no whole block.
    wanted = max(1, _PROGRAMS // (taps * tiles_o * tiles_i))
    chunks = min(max(1, -(-wanted // N)), -(-pixels // block_p))
    blocks = -(-pixels // (chunks * block_p))
    chunks = -(-pixels // (blocks * block_p))
    units = N * chunks
    units_each = -(-units // min(wanted, units))
    parts = -(-units // units_each)
    sums = torch.empty([parts, KH, KW, O, I], dtype=wide, device=x.device)
    with on_device(x):
        kernels.conv2d_weight_kernel[(parts * taps * tiles_o * tiles_i,)](
            *(t if t is not None else x for t in (x, g, sums, before, after)),
            *(I, O, H, W, g.shape[3], pixels, KW, taps, *padding, tiles_o, tiles_i),
            *(units, units_each, chunks, blocks, *x.stride(), *g.stride()),
            BEFORE=before is not None,
            AFTER=after is not None,
            COUNTED_UNITS=units_each if interpreted() else 0,
            COUNTED_BLOCKS=blocks if interpreted() else 0,
            PRECISION=precision(x),
            WIDE=far(x, g),
            BO=block_o,
            BI=block_i,
            BP=block_p,
            num_warps=8 if block_o * block_i >= 128 * 128 else 4,
            num_stages=3,
        )
    return sums.sum(0).permute(2, 3, 0, 1)


_PROGRAMS = 264


def empty_result(x: Tensor, O: int, height: int, width: int) -> Tensor:
    """Room for a result [N, O, height, width] of x's dtype and memory format."""
    size = [x.shape[0], O, height, width]
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
