"""Our ops beside the same arithmetic in plain PyTorch, in one run, on the same tensors; each pair must agree."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap import ops

Measure = Callable[..., Tensor]
BATCH, CHANNELS, SIZE = 4, 64, 64


@pytest.fixture
def images(device: torch.device) -> Tensor:
    """Features [B, C, S, S]."""
    return torch.randn(BATCH, CHANNELS, SIZE, SIZE, device=device)


@pytest.fixture
def blur(device: torch.device) -> Tensor:
    """The [1, 3, 3, 1] filter of StyleGAN2, [4, 4], sum 1."""
    return ops.setup_filter([1, 3, 3, 1], device=device)


def ours_down(x: Tensor, f: Tensor) -> Tensor:
    return ops.upfirdn2d(x, f, down=2, padding=1)


def plain_down(x: Tensor, f: Tensor) -> Tensor:
    taps = (f.outer(f) if f.ndim == 1 else f).flip(0, 1).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, taps, stride=2, padding=1, groups=x.shape[1])


@pytest.mark.parametrize("call", [ours_down, plain_down])
def test_blur_and_halve(call: Measure, measure: Measure, images: Tensor, blur: Tensor) -> None:
    moved = images.numel() * images.element_size() * 5 // 4
    result = measure(call, images, blur, group="blur and halve", moved_bytes=moved)
    torch.testing.assert_close(result, plain_down(images, blur))


def ours_up(x: Tensor, f: Tensor) -> Tensor:
    return ops.upfirdn2d(x, f, up=2, padding=[2, 1, 2, 1], gain=4)


def plain_up(x: Tensor, f: Tensor) -> Tensor:
    taps = 4 * (f.outer(f) if f.ndim == 1 else f).expand(x.shape[1], 1, -1, -1)
    return F.conv_transpose2d(x, taps, stride=2, padding=1, groups=x.shape[1])


@pytest.mark.parametrize("call", [ours_up, plain_up])
def test_double_and_blur(call: Measure, measure: Measure, images: Tensor, blur: Tensor) -> None:
    moved = images.numel() * images.element_size() * 5
    result = measure(call, images, blur, group="double and blur", moved_bytes=moved)
    torch.testing.assert_close(result, plain_up(images, blur))


def ours_bias_act(x: Tensor, b: Tensor) -> Tensor:
    return ops.bias_act(x, b, act="lrelu")


def plain_bias_act(x: Tensor, b: Tensor) -> Tensor:
    return F.leaky_relu(x + b.view(1, -1, 1, 1), 0.2) * math.sqrt(2)


@pytest.mark.parametrize("call", [ours_bias_act, plain_bias_act])
def test_bias_and_leaky_relu(call: Measure, measure: Measure, images: Tensor, device: torch.device) -> None:
    bias = torch.randn(CHANNELS, device=device)
    moved = images.numel() * images.element_size() * 2
    result = measure(call, images, bias, group="bias and leaky ReLU", moved_bytes=moved)
    torch.testing.assert_close(result, plain_bias_act(images, bias))
