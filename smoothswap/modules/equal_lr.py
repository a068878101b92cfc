"""StyleGAN2's layers with an equalised learning rate (Karras et al. 2018, 2020).

Weights are kept with unit variance and scaled by 1/√fan_in when they are used, so that Adam's steps are the same size
relative to the weight in every layer.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from smoothswap.modules.resample import FirFilter
from smoothswap.ops import bias_act, upfirdn2d

SQRT_2 = math.sqrt(2.0)


class EqualLinear(nn.Module):
    """Linear layer [B, in] -> [B, out] with an activation.

    Args:
        in_features: in.
        out_features: out.
        activation: name of a `bias_act` activation.
    """

    def __init__(self, in_features: int, out_features: int, *, activation: str = "linear") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.scale = 1 / math.sqrt(in_features)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in] to [B, out]."""
        h = F.linear(x, self.weight * self.scale)
        return bias_act(h, self.bias.to(h.dtype), act=self.activation)


class EqualConv2d(FirFilter):
    """Convolution [B, in, H, W] -> [B, out, H, W], or [B, out, H/2, W/2], with an activation.

    Args:
        in_channels: in.
        out_channels: out.
        size: side of the convolution's kernel, odd.
        bias: whether each output channel has a bias.
        down: halve the size: FIR filter, then every second pixel.
        kernel: taps of that filter.
        activation: name of a `bias_act` activation, or None for a convolution without anything behind it.
        clamp: largest magnitude of the output before `gain`; None for no limit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        bias: bool = True,
        down: bool = False,
        kernel: tuple[float, ...] = (),
        activation: str = "linear",
        clamp: float | None = None,
    ) -> None:
        super().__init__(kernel)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.scale = 1 / math.sqrt(in_channels * size**2)
        self.size = size
        self.down = down
        self.activation = activation
        self.activation_gain = SQRT_2 if activation == "lrelu" else 1.0
        self.clamp = clamp

    def forward(self, x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
        """Convolve x [B, in, H, W]; the output is multiplied by `gain`."""
        h = self._convolve(x)
        bias = None if self.bias is None else self.bias.to(h.dtype)
        clamp = None if self.clamp is None else self.clamp * gain
        return bias_act(h, bias, act=self.activation, gain=self.activation_gain * gain, clamp=clamp)

    def _convolve(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.scale
        if not self.down:
            return F.conv2d(x, weight.to(x.dtype), padding=self.size // 2)
        before, after = (self.taps - 1) // 2, (self.taps - 2) // 2
        if self.size == 1:
            # Pixels that the filter would compute and the stride throw away are never computed.
            x = upfirdn2d(x, self.kernel, down=2, padding=[before, after] * 2)
            return F.conv2d(x, weight.to(x.dtype))
        edge = self.size // 2
        x = upfirdn2d(x, self.kernel, padding=[before + edge, after + edge] * 2)
        return F.conv2d(x, weight.to(x.dtype), stride=2)
