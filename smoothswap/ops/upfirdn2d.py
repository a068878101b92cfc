"""upfirdn2d: upsample, pad, filter and downsample images, in that order.

Along one axis, with taps f_0 … f_{K−1}, factors u (up) and d (down) and padding (a, b):

    v_{u·i} = x_i, zero elsewhere, i < L          v' = v with a zeros before and b after (negative: cropped)
    y_j = gain · Σ_k f_k v'_{j·d + K−1−k}          (convolution; with `flip_filter` f_{K−1−k} in place of f_k)

The map is linear in x, and its adjoint is an upfirdn2d with u and d exchanged, the filter flipped and the padding
(K−1−a, L·u − M·d + a − u + 1), M being the length of y. So the op is its own backward, to any order.
Names and defaults follow StyleGAN (Karras et al., 2019–2021); the code is written from the equations above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend, checks
from smoothswap.ops.define import define, for_onnx
from smoothswap.ops.layout import arithmetic, memory_format, without_autocast
from smoothswap.ops.transforms import has_tangent


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Upsamples, pads, filters and downsamples a batch of images.

    Args:
        x: images [B, C, H, W]; fp64, fp32, bf16 or fp16 (the last two are computed in fp32); B may be 0.
        f: filter [Kh, Kw], or [K] for a separable one applied along both axes, floating point, on x's device; it is a
            constant. None is the identity.
        up: integer factor ≥ 1, or [x, y]: each pixel is followed by up−1 zeros.
        down: integer factor ≥ 1, or [x, y]: every down-th pixel is kept.
        padding: pixels of the upsampled image: p, [x, y] or [left, right, top, bottom]; negative crops.
        flip_filter: False convolves (mirrors the filter), True correlates.
        gain: factor on the result.

    Returns:
        [B, C, H', W'] with W' = (W·up + left + right − Kw) // down + 1, likewise H'; x's dtype and memory format.

    Raises:
        ArgumentError: a wrong rank, dtype, device or factor, a gain that is not finite, or an empty result.
        BackendError: a kernel was asked for by name and cannot run.
    """
    op = "upfirdn2d"
    checks.floating(op, "x", x)
    checks.rank(op, "x", x, [4], "[B, C, H, W]")
    ups, downs, pads = checks.pair(op, "up", up), checks.pair(op, "down", down), checks.padding4(op, padding)
    gain = checks.number(op, "gain", gain)
    if f is not None:
        check_filter(op, x, f)
    height, width = output_size(x, f, ups, downs, pads)
    if height < 1 or width < 1:
        taps_h, taps_w = filter_size(f)
        raise ArgumentError(
            "upfirdn2d: nothing is left of x: the padded image is smaller than the filter",
            f"x: {checks.about(x)}",
            f"up {list(ups)}, padding {list(pads)}: padded image of {x.shape[2] * ups[1] + pads[2] + pads[3]} × "
            f"{x.shape[3] * ups[0] + pads[0] + pads[1]} pixels, filter of {taps_h} × {taps_w} taps",
            hint="Use a larger image, more padding or a shorter filter.",
        )
    return run(x, f, ups, downs, pads, bool(flip_filter), gain)


def run(x: Tensor, f: Tensor | None, *arguments: Any) -> Tensor:
    """The op, or its reference in a model for ONNX; x [B, C, H, W], arguments checked."""
    op = reference if for_onnx() else torch.ops.smoothswap.upfirdn2d
    return op(x, f, *arguments)


def check_filter(op: str, x: Tensor, f: Tensor, name: str = "f") -> None:
    """Refuses a filter that is no constant floating-point [K] or [Kh, Kw] on x's device."""
    checks.floating(op, name, f)
    checks.rank(op, name, f, [1, 2], "[K] or [Kh, Kw]")
    checks.same_device(op, "x", x, name, f)
    if f.numel() == 0:
        raise ArgumentError(f"{op}: {name} has no taps", f"{name}: {checks.about(f)}")
    if f.requires_grad or has_tangent(f):
        raise ArgumentError(
            f"{op}: {name} {'requires grad' if f.requires_grad else 'has a tangent'}, but filters are constants here",
            f"{name}: {checks.about(f)}",
            hint=f"Pass {name}.detach(), or use torch.nn.functional.conv2d to learn a filter.",
        )


def filter_size(f: Tensor | None) -> tuple[int, int]:
    """Taps (vertical, horizontal) of a filter [K], [Kh, Kw] or None."""
    if f is None:
        return 1, 1
    height, width = f.shape[0], f.shape[-1]
    if isinstance(height, Tensor):  # as torch.jit.trace shows sizes
        return checks.integer("filter", "height", height), checks.integer("filter", "width", width)
    return height, width


def output_size(
    x: Tensor, f: Tensor | None, up: Sequence[int], down: Sequence[int], padding: Sequence[int]
) -> tuple[int, int]:
    """Height and width of the result for x [B, C, H, W]; factors as [x, y], padding [left, right, top, bottom]."""
    taps_h, taps_w = filter_size(f)
    height = (x.shape[2] * up[1] + padding[2] + padding[3] - taps_h) // down[1] + 1
    width = (x.shape[3] * up[0] + padding[0] + padding[1] - taps_w) // down[0] + 1
    return height, width


def reference(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    """The op in stock PyTorch: depthwise convolutions, transposed where it upsamples; x [B, C, H, W]."""
    layout, dtype = memory_format(x), x.dtype
    height, width = output_size(x, f, up, down, padding)
    if x.numel() == 0:
        return x.new_empty([*x.shape[:2], height, width]).contiguous(memory_format=layout)
    with without_autocast(x):
        y = x.to(arithmetic(dtype))
        if f is None:
            y = _resample(y, y.new_full([1, 1], gain), up, down, padding)
        else:
            taps = f.to(y.dtype)
            taps = taps if flip_filter else taps.flip(list(range(f.ndim)))
            left, right, top, bottom = padding
            if f.ndim == 1:
                y = _resample(y, taps[None, :] * gain, (up[0], 1), (down[0], 1), (left, right, 0, 0))
                y = _resample(y, taps[:, None], (1, up[1]), (1, down[1]), (0, 0, top, bottom))
            else:
                y = _resample(y, taps * gain, up, down, padding)
        return y.to(dtype).contiguous(memory_format=layout)


def _pad(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Zeros first, then the crop: a crop alone may ask for more than the image has."""
    if max(left, right, top, bottom) > 0:
        x = F.pad(x, [max(n, 0) for n in (left, right, top, bottom)])
    if min(left, right, top, bottom) < 0:
        x = F.pad(x, [min(n, 0) for n in (left, right, top, bottom)])
    return x


def _resample(x: Tensor, taps: Tensor, up: Sequence[int], down: Sequence[int], padding: Sequence[int]) -> Tensor:
    """Correlates x [B, C, H, W] with taps [Kh, Kw] between up- and downsampling."""
    left, right, top, bottom = padding
    (taps_h, taps_w), channels = taps.shape, x.shape[1]
    if up[0] == up[1] == 1:
        if taps_h == taps_w == 1:
            return _pad(x, left, right, top, bottom)[:, :, :: down[1], :: down[0]] * taps
        if left == right >= 0 and top == bottom >= 0:
            inside = (top, left)
        else:
            x, inside = _pad(x, left, right, top, bottom), (0, 0)
        weight = taps.expand(channels, 1, taps_h, taps_w)
        return F.conv2d(x, weight, stride=(down[1], down[0]), padding=inside, groups=channels)
    # conv_transpose2d gives the full correlation of the zero-stuffed image, (L−1)·up + K long: what StyleGAN's padding
    # asks for is a crop of it (or zeros beside it).
    weight = taps.flip([0, 1]).expand(channels, 1, taps_h, taps_w)
    crop = (taps_w - 1 - left, taps_w - right - up[0], taps_h - 1 - top, taps_h - bottom - up[1])
    inside = (max(min(crop[2:]), 0), max(min(crop[:2]), 0))
    y = F.conv_transpose2d(x, weight, stride=(up[1], up[0]), padding=inside, groups=channels)
    y = _pad(y, inside[1] - crop[0], inside[1] - crop[1], inside[0] - crop[2], inside[0] - crop[3])
    return y[:, :, :: down[1], :: down[0]]


def _run(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    kernel = backend.choose("upfirdn2d", x, f)
    return kernel(x, f, up, down, padding, flip_filter, gain)  # type: ignore[no-any-return]


def _fake(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    size = [*x.shape[:2], *output_size(x, f, up, down, padding)]
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=memory_format(x))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, f, up, down, padding, flip_filter, gain = inputs
    ctx.save_for_backward(f)
    ctx.arguments = (x.shape[2:], up, down, padding, flip_filter, gain)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    (f,) = ctx.saved_tensors
    (height, width), up, down, padding, flip_filter, gain = ctx.arguments
    taps_h, taps_w = filter_size(f)
    pads = (
        taps_w - 1 - padding[0],
        width * up[0] - grad.shape[3] * down[0] + padding[0] - up[0] + 1,
        taps_h - 1 - padding[2],
        height * up[1] - grad.shape[2] * down[1] + padding[2] - up[1] + 1,
    )
    dx = torch.ops.smoothswap.upfirdn2d(grad, f, down, up, pads, not flip_filter, gain)
    return dx, None, None, None, None, None, None


define(
    "upfirdn2d",
    "(Tensor x, Tensor? f, int[2] up, int[2] down, int[4] padding, bool flip_filter, float gain) -> Tensor",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=reference,
)
backend.attach("upfirdn2d", "reference", reference)
