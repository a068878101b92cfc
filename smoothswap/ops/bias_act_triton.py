"""bias_act and its gradient in Triton (bias_act_triton_kernels): every activation, dtype and layout, one pass each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import memory_format
from smoothswap.ops.triton_runtime import device_objection, on_device, power_of_two, widened


def _blocks(x: Tensor, rows: int, cols: int) -> tuple[int, int, int]:
    """Rows and columns of a tile, and how many tiles make a row: 64 bytes or so a thread in 16-byte pieces."""
    elements = 4096 if x.element_size() == 2 else 2048 if x.element_size() == 4 else 1024
    width = min(power_of_two(cols), elements)
    height = min(elements // width, power_of_two(rows))
    return height, width, -(-cols // width)


@widened
def run(x: Tensor, b: Tensor | None, dim: int, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The op's arguments; x of any shape, b [C] along `dim`."""
    from smoothswap.ops import bias_act_triton_kernels as kernels

    layout = memory_format(x)
    x = x.contiguous(memory_format=layout)
    y = torch.empty_like(x, memory_format=layout)
    if x.numel() == 0:
        return y
    rows, cols, channels, bias = 1, x.numel(), 1, "none"
    if b is not None:
        b = b.contiguous()
        order = [0, 2, 3, 1] if layout == torch.channels_last else list(range(x.ndim))
        channels, inner = b.shape[0], math.prod(x.shape[i] for i in order[order.index(dim) + 1 :])
        bias, cols = ("col", channels) if inner == 1 else ("row", inner)
        rows = x.numel() // cols
    height, width, tiles = _blocks(x, rows, cols)
    with on_device(x):
        kernels.bias_act_kernel[(-(-rows // height) * tiles,)](
            *(x, x if b is None else b, y, rows, cols, channels, tiles, alpha, gain, clamp),
            ACT=act,
            BIAS=bias,
            CLAMP=clamp >= 0,
            WIDE=x.numel() >= 2**31 - 2**16,
            ROWS=height,
            COLS=width,
        )
    return y


@widened
def run_grad(g: Tensor, ref: Tensor, from_output: bool, act: str, alpha: float, gain: float, clamp: float) -> Tensor:
    """The arguments of `bias_act_grad`; g and ref of one shape."""
    from smoothswap.ops import bias_act_triton_kernels as kernels

    layout = memory_format(g)
    g, ref = g.contiguous(memory_format=layout), ref.contiguous(memory_format=layout)
    dx = torch.empty_like(g, memory_format=layout)
    if g.numel() == 0:
        return dx
    height, width, tiles = _blocks(g, 1, g.numel())
    with on_device(g):
        kernels.bias_act_grad_kernel[(tiles,)](
            *(g, ref, dx, 1, g.numel(), tiles, alpha, gain, clamp),
            ACT=act,
            FROM_OUTPUT=from_output,
            CLAMP=clamp >= 0,
            WIDE=g.numel() >= 2**31 - 2**16,
            ROWS=height,
            COLS=width,
        )
    return dx


def _objection(*tensors: Tensor | None, act: str = "lrelu", from_output: bool = True) -> str | None:
    return device_objection(*tensors)


backend.attach("bias_act", "triton", run, _objection)
backend.attach("bias_act_grad", "triton", run_grad, _objection)
