"""modulated_conv2d_head: all that modulated_conv2d's gradient needs of g and y, where no more derivatives are asked.

    h = g·γ·φ'(v)·[|y| < c]        unit_no = Σ_hw (g·y·[|y| < c] − h·noise)

Written out in stock ops this is nine passes over images, here it may be one. It has no derivative of its own: the
gradient that is to be differentiated further is composed of differentiable ops instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import DerivativeError
from smoothswap.ops import backend
from smoothswap.ops.bias_act_grad import grad_reference
from smoothswap.ops.define import define
from smoothswap.ops.layout import memory_format

Results = tuple[Tensor, Tensor, Tensor, Tensor]


def modulated_conv2d_head(
    g: Tensor, y: Tensor, noise: Tensor | None, d: Tensor | None, act: str, alpha: float, gain: float, clamp: float
) -> Results:
    """Computes the gradient in front of the convolution, and its sums.

    Args:
        g: gradient of y, [N, O, H, W], fp32 or fp64.
        y: the result, likewise.
        noise: of g's dtype, broadcast to [N, 1, H, W]. None: nothing.
        d: demodulation [N, O] of g's dtype. None: ones.
        act: linear, relu or lrelu.
        alpha: slope of lrelu below zero.
        gain: factor on the activation.
        clamp: limit on the magnitude of y; below zero: none.

    Returns:
        d·h [N, O, H, W], Σ_hw h [N, O], unit [N, O], Σ_o h [N, 1, H, W].
    """
    return torch.ops.smoothswap.modulated_conv2d_head(g, y, noise, d, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def serves(g: Tensor, y: Tensor | None, noise: Tensor | None) -> bool:
    """Whether a gradient may go this way: on the CPU, not differentiated again, a noise that the channels share."""
    if torch.is_grad_enabled() or y is None or g.device.type != "cpu":
        return False
    if noise is not None and noise.ndim >= 3 and noise.shape[-3] != 1:
        return False
    asked = backend.asked_for()
    return asked is None or backend.can_run("modulated_conv2d_head", asked, g, y) is None


def reference(
    g: Tensor, y: Tensor, noise: Tensor | None, d: Tensor | None, act: str, alpha: float, gain: float, clamp: float
) -> Results:
    """The op in stock PyTorch."""
    h = grad_reference(g, y, True, act, alpha, gain, clamp)
    product = g * y if clamp < 0 else g * y * (y.abs() < clamp)
    if noise is not None:
        product = product - h * noise
    scaled = h if d is None else h * d[:, :, None, None]
    return (
        scaled.contiguous(memory_format=memory_format(y)),
        h.sum([2, 3]),
        product.sum([2, 3]),
        h.sum(1, keepdim=True).contiguous(),
    )


def _run(
    g: Tensor, y: Tensor, noise: Tensor | None, d: Tensor | None, act: str, alpha: float, gain: float, clamp: float
) -> Results:
    kernel = backend.choose("modulated_conv2d_head", g, y, noise, d)
    return kernel(g, y, noise, d, act, alpha, gain, clamp)  # type: ignore[no-any-return]


def _fake(
    g: Tensor, y: Tensor, noise: Tensor | None, d: Tensor | None, act: str, alpha: float, gain: float, clamp: float
) -> Results:
    N, O, H, W = y.shape
    return (
        torch.empty_like(y, memory_format=memory_format(y)),
        y.new_empty([N, O]),
        y.new_empty([N, O]),
        y.new_empty([N, 1, H, W]),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Results) -> None:
    pass


def _backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
    raise DerivativeError(
        "modulated_conv2d_head has no derivative: modulated_conv2d's gradient was not asked to keep one",
        hint="Ask for it: torch.autograd.grad(..., create_graph=True).",
    )


define(
    "modulated_conv2d_head",
    "(Tensor g, Tensor y, Tensor? noise, Tensor? d, str act, float alpha, float gain, float clamp) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    run=_run,
    fake=_fake,
    setup=_setup,
    backward=_backward,
    composed=reference,
)
backend.attach("modulated_conv2d_head", "reference", reference)
