"""Convolutions whose weights are never trained.

PyTorch's second derivative of a convolution computes the gradient of the weight whether it is needed or not, for a
depthwise convolution channel by channel. With a constant weight a convolution is a linear map of its input: the
gradient is the transposed map, and the gradient of that is the convolution again. Nothing else is computed here.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function

_Like = tuple[torch.Size, torch.memory_format]


def _layout(x: torch.Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


class _Convolution(Function):
    """x [B, in, H, W] -> [B, out, H', W']."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        padding: int,
        groups: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.like, ctx.geometry = (x.shape, _layout(x)), (stride, padding, groups)
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        gradient = _Transposed.apply(gradient, weight, ctx.like, *ctx.geometry)  # type: ignore[no-untyped-call]
        return gradient, None, None, None, None, None


class _Transposed(Function):
    """Gradient [B, out, H', W'] of a convolution's output -> gradient [B, in, H, W] of its input."""

    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, weight: torch.Tensor, like: _Like, stride: int, padding: int, groups: int
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.geometry = (stride, padding, groups)
        shape, layout = like
        # Nobody reads the input, but its memory format decides that of the result.
        unread = torch.empty(shape, dtype=gradient.dtype, device=gradient.device, memory_format=layout)
        geometry = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups
        wanted = [True, False, False]  # of the input, not of weight and bias
        result: torch.Tensor = torch.ops.aten.convolution_backward(gradient, unread, weight, None, *geometry, wanted)[0]
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        gradient = _Convolution.apply(gradient, weight, None, *ctx.geometry)  # type: ignore[no-untyped-call]
        return gradient, None, None, None, None, None


class FrozenConv2d(nn.Module):
    """Convolution with fixed weights and TensorFlow's "SAME" padding, and ReLU6 where `relu6` is set.

    [B, in, H, W] -> [B, out, ⌈H/s⌉, ⌈W/s⌉].

    Weight and bias are non-persistent buffers: no optimiser sees them, no state dict holds them, and `to` moves them.

    Args:
        in_channels: in.
        out_channels: out.
        size: side of the kernel, odd.
        stride: s.
        groups: groups of channels.
        relu6: limit the output to [0, 6].
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(
        self, in_channels: int, out_channels: int, size: int, *, stride: int = 1, groups: int = 1, relu6: bool = False
    ) -> None:
        super().__init__()
        self.size, self.stride, self.groups, self.relu6 = size, stride, groups, relu6
        shape = (out_channels, in_channels // groups, size, size)
        self.register_buffer("weight", torch.zeros(shape), persistent=False)
        self.register_buffer("bias", torch.zeros(out_channels), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve x [B, in, H, W]."""
        device, dtype = x.device.type, x.dtype
        if device != "meta" and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), self.weight.to(dtype), self.bias.to(dtype)
        if self.size == 1 and _layout(x) is torch.channels_last:
            # One matrix product over all pixels, which lie behind each other already.
            return self._activate(F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)).permute(0, 3, 1, 2)
        padding = self.size // 2
        if self.stride > 1:
            # With an even side, one row and column less are padded before the image than behind it.
            rows, columns = (self._padding(side) for side in x.shape[2:])
            x, padding = F.pad(x, (*columns, *rows)), 0
        h = _Convolution.apply(x, weight, bias, self.stride, padding, self.groups)  # type: ignore[no-untyped-call]
        return self._activate(h)

    def _activate(self, h: torch.Tensor) -> torch.Tensor:
        # In place only on a tensor that is no view: on one, autograd would copy the gradient several times.
        return F.relu6(h, inplace=True) if self.relu6 else h

    @torch.no_grad()
    def random_(self, generator: torch.Generator) -> None:
        """Fill the weight with uniform values that keep the mean square, also through ReLU6; the bias becomes zero."""
        bound = ((6 if self.relu6 else 3) / self.weight[0].numel()) ** 0.5
        uniform = torch.rand(self.weight.shape, generator=generator, device="cpu")
        self.weight.copy_((uniform * 2 - 1) * bound)
        self.bias.zero_()

    def _padding(self, side: int) -> tuple[int, int]:
        total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
        return total // 2, total - total // 2
