"""The activations of `bias_act`: values, derivatives and second derivatives in stock PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops.transforms import forward_mode

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Activation:
    """One activation φ: values and derivatives, each a function of (tensor, alpha).

    Attributes:
        value: φ(x).
        slope: φ' as a function of t = φ(x), or of x where `keeps_input`.
        bend: the derivative of `slope`; None where it is zero everywhere.
        alpha: default of alpha (slope of lrelu below zero; the others ignore it).
        gain: default gain, which keeps the variance of a unit normal roughly at one.
        keeps_input: the derivative needs x, not y.
    """

    value: Callable[[Tensor, float], Tensor]
    slope: Callable[[Tensor, float], Tensor]
    bend: Callable[[Tensor, float], Tensor] | None = None
    alpha: float = 0.0
    gain: float = 1.0
    keeps_input: bool = False


# Beyond ±1000 the sigmoid is 0 or 1 to the last bit: cut there, x beside a zero gives the limits at ±∞, not 0 · ∞.
def _swish(x: Tensor, alpha: float) -> Tensor:
    x = x.clamp(min=-1000)
    # PyTorch's silu has a gradient without a tangent.
    return x * torch.sigmoid(x) if forward_mode() else F.silu(x)


def _swish_slope(x: Tensor, alpha: float) -> Tensor:
    x, s = x.clamp(-1000, 1000), torch.sigmoid(x)
    return s * (1 + x * (1 - s))


def _swish_bend(x: Tensor, alpha: float) -> Tensor:
    x, s = x.clamp(-1000, 1000), torch.sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


_ROOT2 = math.sqrt(2)
ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, a: x, lambda t, a: torch.ones_like(t)),
    "relu": Activation(lambda x, a: F.relu(x), lambda t, a: (t > 0).to(t.dtype), gain=_ROOT2),
    "lrelu": Activation(
        lambda x, a: F.leaky_relu(x, a),
        lambda t, a: (t > 0).to(t.dtype) * (1 - a) + a,
        alpha=0.2,
        gain=_ROOT2,
    ),
    "tanh": Activation(lambda x, a: torch.tanh(x), lambda t, a: 1 - t * t, lambda t, a: -2 * t),
    "sigmoid": Activation(lambda x, a: torch.sigmoid(x), lambda t, a: t * (1 - t), lambda t, a: 1 - 2 * t),
    "elu": Activation(
        lambda x, a: F.elu(x),
        lambda t, a: torch.clamp(t, max=0) + 1,
        lambda t, a: (t < 0).to(t.dtype),
    ),
    "selu": Activation(
        lambda x, a: F.selu(x),
        lambda t, a: torch.where(t > 0, torch.full_like(t, _SELU_SCALE), t + _SELU_SCALE * _SELU_ALPHA),
        lambda t, a: (t <= 0).to(t.dtype),
    ),
    "softplus": Activation(lambda x, a: F.softplus(x), lambda t, a: -torch.expm1(-t), lambda t, a: torch.exp(-t)),
    "swish": Activation(_swish, _swish_slope, _swish_bend, gain=_ROOT2, keeps_input=True),
}


def derivative_from_output(act: str, alpha: float, gain: float) -> bool:
    """Whether φ' follows from y = gain · φ(x) alone: not where the gain, or lrelu's slope, hides the side of x."""
    return not ACTIVATIONS[act].keeps_input and gain != 0 and (act != "lrelu" or alpha >= 0)
