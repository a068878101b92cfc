"""StyleGAN2's ops the way StyleGAN2 states them, in plain PyTorch: what a user has today without compiled kernels.

Written from the equations (Karras et al., 2020): zeros between the pixels, then padding, then a depthwise convolution,
then every d-th pixel; bias, activation, gain and clamp as operations of their own; weights built per sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def upfirdn2d(
    x: Tensor, f: Tensor, up: int = 1, down: int = 1, padding: Sequence[int] = (0, 0, 0, 0), gain: float = 1.0
) -> Tensor:
    """x [B, C, H, W]; f [Kh, Kw]; padding [left, right, top, bottom], not negative."""
    B, C, H, W = x.shape
    if up > 1:
        x = x.reshape(B, C, H, 1, W, 1)
        x = F.pad(x, [0, up - 1, 0, 0, 0, up - 1]).reshape(B, C, H * up, W * up)
    x = F.pad(x, list(padding))
    taps = (f * gain).flip([0, 1]).to(x.dtype).expand(C, 1, -1, -1)
    x = F.conv2d(x, taps, groups=C)
    return x[:, :, ::down, ::down]


def bias_lrelu(x: Tensor, b: Tensor, gain: float = 2**0.5, clamp: float | None = None) -> Tensor:
    """x [B, C, H, W]; b [C]."""
    x = x + b.reshape(1, -1, 1, 1)
    x = F.leaky_relu(x, 0.2)
    x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def _per_sample(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [N, O, I, k, k] and their demodulation [N, O]; weight [O, I, k, k], styles [N, I]."""
    w = weight[None] * styles[:, None, :, None, None]
    return w, (w.square().sum([2, 3, 4]) + 1e-8).rsqrt()


def modulated_fused(x: Tensor, weight: Tensor, styles: Tensor, noise: Tensor, b: Tensor) -> Tensor:
    """One grouped convolution with weights per sample; x [N, I, H, W], noise [N, 1, H, W] → [N, O, H, W]."""
    (N, I, H, W), O, k = x.shape, weight.shape[0], weight.shape[2]
    w, d = _per_sample(weight, styles)
    w = (w * d[:, :, None, None, None]).reshape(N * O, I, k, k)
    y = F.conv2d(x.reshape(1, N * I, H, W), w, padding=k // 2, groups=N).reshape(N, O, H, W)
    return bias_lrelu(y + noise, b)


def modulated_scaled(x: Tensor, weight: Tensor, styles: Tensor, noise: Tensor, b: Tensor) -> Tensor:
    """Activations scaled before and after one shared convolution; shapes as above."""
    _, d = _per_sample(weight, styles)
    y = F.conv2d(x * styles[:, :, None, None], weight, padding=weight.shape[2] // 2)
    return bias_lrelu(torch.addcmul(noise, y, d[:, :, None, None]), b)
