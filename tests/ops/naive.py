"""The ops written as their equations, loop by loop, to compare with; fp64 tensors, no attempt at speed."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def upfirdn(
    x: Tensor,
    f: Tensor | None,
    up: tuple[int, int] = (1, 1),
    down: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """x [B, C, H, W]; factors (x, y); padding (left, right, top, bottom)."""
    taps = (torch.ones(1, 1) if f is None else f).to(x)
    taps = torch.outer(taps, taps) if taps.ndim == 1 else taps
    B, C, H, W = x.shape
    Kh, Kw = taps.shape
    left, right, top, bottom = padding
    height, width = H * up[1] + top + bottom, W * up[0] + left + right

    def pixel(i: int, j: int) -> Tensor:  # of the upsampled, padded image
        i, j = i - top, j - left
        inside = 0 <= i < H * up[1] and 0 <= j < W * up[0] and i % up[1] == 0 and j % up[0] == 0
        return x[:, :, i // up[1], j // up[0]] if inside else x.new_zeros(B, C)

    y = x.new_zeros(B, C, (height - Kh) // down[1] + 1, (width - Kw) // down[0] + 1)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            for a in range(Kh):
                for b in range(Kw):
                    tap = taps[a, b] if flip_filter else taps[Kh - 1 - a, Kw - 1 - b]
                    y[:, :, i, j] += gain * tap * pixel(i * down[1] + a, j * down[0] + b)
    return y


def modulated(x: Tensor, weight: Tensor, styles: Tensor, demodulate: bool, flip_weight: bool) -> Tensor:
    """StyleGAN2's definition without resampling, weights built per sample; x [N, I, H, W] → [N, O, H', W']."""
    N, _, H, W = x.shape
    kh, kw = weight.shape[2:]
    y = x.new_zeros(N, len(weight), H - kh + 1, W - kw + 1)
    kernel = weight if flip_weight else weight.flip([2, 3])
    for n in range(N):
        w = kernel * styles[n].reshape(1, -1, 1, 1)
        if demodulate:
            w = w / (w.square().sum([1, 2, 3], keepdim=True) + 1e-8).sqrt()
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                y[n, :, i, j] = (w * x[n, :, i : i + kh, j : j + kw]).sum([1, 2, 3])
    return y


def supcon(z: Tensor, labels: Tensor, temperature: float) -> list[float]:
    """The loss of each anchor; z [N, D], labels [N]."""
    losses = []
    for i in range(len(z)):
        s = [float(z[i] @ z[a]) / temperature for a in range(len(z))]
        positives = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        if not positives:
            losses.append(0.0)
            continue
        total = sum(math.exp(s[a]) for a in range(len(z)) if a != i)
        losses.append(-sum(math.log(math.exp(s[p]) / total) for p in positives) / len(positives))
    return losses
