"""A convolution between FIR up- and downsampling, planned so that the convolution runs at the lowest resolution.

Mathematically: upsample by FIR (gain up²), pad, correlate with the kernel, downsample by FIR. Linear filters
commute, so a plan is at most three steps, FIR → convolution → FIR:

    up     transposed convolution with stride up, then the FIR (for 1 × 1 kernels: the convolution first, then FIR up)
    down   the FIR, then the convolution with stride down (for 1 × 1 kernels: FIR down first)
    both   FIR up, convolution, FIR down

The result is linear in x and in the kernel; `adjoint` gives both transposed maps, in differentiable ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops.upfirdn2d import filter_size, run

Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Fir:
    """One upfirdn2d step with equal factors along both axes; padding [left, right, top, bottom]."""

    f: Tensor | None
    up: int = 1
    down: int = 1
    padding: Pads = (0, 0, 0, 0)
    gain: float = 1.0

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the result for an image of height × width."""
        (taps_h, taps_w), (left, right, top, bottom) = filter_size(self.f), self.padding
        return (
            (height * self.up + top + bottom - taps_h) // self.down + 1,
            (width * self.up + left + right - taps_w) // self.down + 1,
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H', W']."""
        factors = [self.up] * 2, [self.down] * 2
        return run(x, self.f, *factors, self.padding, False, self.gain)

    def adjoint(self, g: Tensor, height: int, width: int) -> Tensor:
        """Gradient of the input, of height × width, for the gradient g [B, C, H', W'] of the result."""
        taps_h, taps_w = filter_size(self.f)
        pads = (
            taps_w - 1 - self.padding[0],
            width * self.up - g.shape[3] * self.down + self.padding[0] - self.up + 1,
            taps_h - 1 - self.padding[2],
            height * self.up - g.shape[2] * self.down + self.padding[2] - self.up + 1,
        )
        factors = [self.down] * 2, [self.up] * 2
        return torch.ops.smoothswap.upfirdn2d(g, self.f, *factors, pads, True, self.gain)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Plan:
    """FIR → convolution → FIR; `transposed` convolutions upsample by their stride; padding is (y, x)."""

    before: Fir | None
    stride: int
    transposed: bool
    padding: tuple[int, int]
    after: Fir | None
    taps: tuple[int, int]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the result for an image of height × width."""
        if self.before is not None:
            height, width = self.before.output_size(height, width)
        sizes = []
        for length, taps, pad in zip((height, width), self.taps, self.padding, strict=True):
            if self.transposed:
                sizes.append((length - 1) * self.stride + taps - 2 * pad)
            else:
                sizes.append((length + 2 * pad - taps) // self.stride + 1)
        height, width = sizes
        return (height, width) if self.after is None else self.after.output_size(height, width)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Maps x [N, I, H, W] and kernel [O, I, kh, kw] (correlated) to [N, O, H', W']."""
        if self.before is not None:
            x = self.before.forward(x)
        if self.transposed:
            kernel = kernel.flip([2, 3]).transpose(0, 1)
            x = F.conv_transpose2d(x, kernel, stride=self.stride, padding=self.padding)
        else:
            x = F.conv2d(x, kernel, stride=self.stride, padding=self.padding)
        return x if self.after is None else self.after.forward(x)

    def adjoint(self, g: Tensor, x: Tensor, kernel: Tensor, want_kernel: bool) -> tuple[Tensor, Tensor | None]:
        """Gradients of x [N, I, H, W] and kernel [O, I, kh, kw] for the gradient g [N, O, H', W'] of the result."""
        size = x.shape[2:]
        if self.before is not None:
            x = self.before.forward(x)
        if self.after is not None:
            g = self.after.adjoint(g, *self._convolved(*x.shape[2:]))
        weight = kernel.flip([2, 3]).transpose(0, 1) if self.transposed else kernel
        gx, gk, _ = torch.ops.aten.convolution_backward(
            g,
            x,
            weight,
            None,
            [self.stride] * 2,
            list(self.padding),
            [1, 1],
            self.transposed,
            [0, 0],
            1,
            [True, want_kernel, False],
        )
        if want_kernel and self.transposed:
            gk = gk.transpose(0, 1).flip([2, 3])
        if self.before is not None:
            gx = self.before.adjoint(gx, *size)
        return gx, gk if want_kernel else None

    def _convolved(self, height: int, width: int) -> tuple[int, int]:
        """Size after the convolution for its input's size."""
        alone = Plan(None, self.stride, self.transposed, self.padding, None, self.taps)
        return alone.output_size(height, width)


def plan(weight: Tensor, up: int, down: int, padding: Sequence[int], f: Tensor | None) -> Plan:
    """Plans the convolution with weight [O, I, kh, kw]; padding [left, right, top, bottom] of the upsampled image."""
    taps_h, taps_w = weight.shape[2:]
    fir_h, fir_w = filter_size(f)
    left, right, top, bottom = padding
    # The FIR filters are centred: what they need around the image is added to the padding.
    if up > 1:
        left, right = left + (fir_w + up - 1) // 2, right + (fir_w - up) // 2
        top, bottom = top + (fir_h + up - 1) // 2, bottom + (fir_h - up) // 2
    if down > 1:
        left, right = left + (fir_w - down + 1) // 2, right + (fir_w - down) // 2
        top, bottom = top + (fir_h - down + 1) // 2, bottom + (fir_h - down) // 2
    pads, taps, gain = (left, right, top, bottom), (taps_h, taps_w), float(up**2)
    point = taps_h == taps_w == 1

    if up > 1 and down > 1:
        return Plan(Fir(f, up=up, padding=pads, gain=gain), 1, False, (0, 0), Fir(f, down=down), taps)
    if up > 1 and point:
        return Plan(None, 1, False, (0, 0), Fir(f, up=up, padding=pads, gain=gain), taps)
    if up > 1:
        # conv_transpose2d pads the zero-stuffed image by taps−1 on the left and taps−up on the right.
        pads = (left - taps_w + 1, right - taps_w + up, top - taps_h + 1, bottom - taps_h + up)
        inside = (max(min(-pads[2], -pads[3]), 0), max(min(-pads[0], -pads[1]), 0))
        pads = (pads[0] + inside[1], pads[1] + inside[1], pads[2] + inside[0], pads[3] + inside[0])
        return Plan(None, up, True, inside, Fir(f, padding=pads, gain=gain), taps)
    if down > 1 and point:
        return Plan(Fir(f, down=down, padding=pads), 1, False, (0, 0), None, taps)
    if down > 1:
        return Plan(Fir(f, padding=pads), down, False, (0, 0), None, taps)
    if left == right >= 0 and top == bottom >= 0:
        return Plan(None, 1, False, (top, left), None, taps)
    return Plan(Fir(None, padding=pads), 1, False, (0, 0), None, taps)
