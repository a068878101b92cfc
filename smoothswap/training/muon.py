"""Muon: steps of momentum whose directions all have the same length.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".

A gradient of a weight matrix is dominated by few directions, and Adam, which looks at one number at a time, follows
these. Muon takes the orthogonal matrix that is nearest to the momentum: of M = U S Vᵀ it keeps U Vᵀ. PyTorch has
`torch.optim.Muon` for matrices alone; most weights here are those of convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Adam

LEAST_SIDE, MOST_SIDE = 32, 256
"""A weight whose smaller side, of outputs and inputs of an output, is not between these is left to Adam: smaller ones
have few directions, and the work grows with the cube of that side."""
MOMENTUM = 0.95
RMS = 0.2
"""Root mean square of a step in learning rates: about that of Adam's, whose learning rates then fit."""
# The quintic x ↦ ax + bx³ + cx⁵ of Jordan, which takes singular values of 0.002 … 1 to 0.7 … 1.2 in five rounds.
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 5


def orthogonalised(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """About U Vᵀ of a matrix U S Vᵀ: the same directions, all of length 0.7 to 1.2.

    Args:
        matrix: [m, n] floating point, any device. Singular values below 0.002 of its norm come out shorter.
        dtype: what the products are computed in; bfloat16 will do.

    Returns:
        [m, n] in float32; zero for zero.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = (x / x.norm().clamp_min(1e-30)).to(dtype)
    small, large = x.shape
    # In float32 the rounds are done on the Gram matrix, of which the result is a polynomial times the matrix: for a
    # weight of 144 × 2592 a third of the work. Errors of bfloat16 would grow with each round there.
    x = _by_gram(x) if dtype == torch.float32 and large > 2 * small else _by_rounds(x)
    return (x.T if tall else x).float()


def _polynomial(gram: Tensor) -> Tensor:
    """A + B·g + C·g²."""
    step = torch.addmm(gram, gram, gram, beta=B, alpha=C)
    step.diagonal().add_(A)
    return step


def _by_rounds(x: Tensor) -> Tensor:
    for _ in range(ROUNDS):
        x = _polynomial(x @ x.T) @ x
    return x


def _by_gram(x: Tensor) -> Tensor:
    gram = x @ x.T
    product = torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    for _ in range(ROUNDS):
        step = _polynomial(gram)
        product = product @ step
        gram = gram @ step @ step  # they commute, all being polynomials of one matrix
    return product @ x


class Muon(Adam):
    """Muon for weights of two dimensions or more, Adam for biases, norms, and weights that are too small or too large.

    A convolution's weight [O, I, kh, kw] counts as a matrix [O, I · kh · kw]. Each step has a root mean square of about
    0.2 learning rates, as Adam's have, so that one learning rate serves both.

    Args:
        parameters: weights to train.
        lr: learning rate.
        betas: of Adam.
        weight_decay: of the weights that Muon trains: each step takes off this share, times the learning rate.
        fused: see `torch.optim.Adam`.
        dtype: what directions are made orthogonal in; momentum and weights stay as they are.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        fused: bool | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        weights = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [weight for weight in weights if not _is_matrix(weight)], "muon": False},
            {"params": [weight for weight in weights if _is_matrix(weight)], "muon": True},
        ]
        self.decay, self.dtype = weight_decay, dtype
        super().__init__([group for group in groups if group["params"]], lr=lr, betas=(betas[0], betas[1]), fused=fused)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step."""
        every = self.param_groups
        self.param_groups = [group for group in every if not group["muon"]]
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = every
        for group in every:
            if group["muon"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._move(weight, group["lr"])
        return loss

    def _move(self, weight: Tensor, lr: float) -> None:
        state = self.state[weight]
        if not state:  # Adam's code reads "step" of every weight when a state is loaded
            state["step"], state["momentum"] = torch.zeros((), dtype=torch.float32), torch.zeros_like(weight)
        state["step"] += 1
        momentum, gradient = state["momentum"], cast(Tensor, weight.grad)
        momentum.lerp_(gradient, 1 - MOMENTUM)
        ahead = torch.lerp(gradient, momentum, MOMENTUM)  # Nesterov's
        direction = orthogonalised(ahead.flatten(1), self.dtype)
        if self.decay:
            weight.mul_(1 - lr * self.decay)
        # An orthogonal [m, n] has a root mean square of 1 / √max(m, n).
        weight.add_(direction.reshape(weight.shape), alpha=-lr * RMS * max(direction.shape) ** 0.5)


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and LEAST_SIDE <= min(weight.shape[0], weight[0].numel()) <= MOST_SIDE
