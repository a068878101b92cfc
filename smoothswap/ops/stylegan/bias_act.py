"""StyleGAN's module `bias_act`, with the table of activations that networks read their gains from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from smoothswap.ops import bias_act as _bias_act
from smoothswap.ops.activations import ACTIVATIONS
from smoothswap.ops.stylegan.impl import chosen

__all__ = ["activation_funcs", "bias_act"]


@dataclass(frozen=True)
class ActivationFunc:
    """One row of `activation_funcs`.

    Attributes:
        func: `func(x, alpha)` on a tensor of any shape, without gain.
        def_alpha: default of `alpha`.
        def_gain: default of `gain`.
    """

    func: Callable[[Tensor, float], Tensor]
    def_alpha: float
    def_gain: float


activation_funcs = {name: ActivationFunc(row.value, row.alpha, row.gain) for name, row in ACTIVATIONS.items()}


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    impl: str = "cuda",
) -> Tensor:
    """`smoothswap.ops.bias_act`; x of any shape, b [C]."""
    with chosen("bias_act", impl):
        return _bias_act(x, b, dim, act, alpha, gain, clamp)
