"""R1: keeps the discriminator flat around real pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import finite
from smoothswap.ops import no_weight_gradients


class R1Loss(nn.Module):
    """Gradient penalty on real pictures (Mescheder et al. 2018, arXiv 1801.04406, eq. 9).

        R1 = γ/2 · mean over the batch of  ‖∇_x D(x_real)‖²

    Lazy R1 (StyleGAN2, arXiv 1912.04958, section 3.1): the penalty is computed in every `every`-th discriminator step
    only and counts `every`-fold there. This module gives the plain penalty; the training loop does

        if step % r1.config.every == 0:
            images.requires_grad_(True)
            loss = loss + r1.weight * r1(discriminator(images), images)

    γ grows with the picture: StyleGAN2-ADA's rule is 0.0002 · S² / B for side S and batch B.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `r1`."""

        gamma: float = option(1.0, "γ, strength of the penalty", at_least=0)
        every: int = option(16, "lazy R1: discriminator steps from one penalty to the next", at_least=1)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    @property
    def weight(self) -> float:
        """The factor of the penalty in the steps that have it: `every`, so that the mean over all steps stays."""
        return float(self.config.every)

    def forward(self, real_logits: Tensor, real_images: Tensor) -> Tensor:
        """Penalty of one batch, without `weight`.

        Args:
            real_logits: [B, 1] or [B], computed from `real_images`, each logit from its own picture.
            real_images: [B, 3, H, W] in [-1, 1], requiring grad since before the logits were computed.

        Returns:
            A scalar ≥ 0 in at least float32, through which the discriminator's parameters get their gradient.

        Raises:
            ArgumentError: wrong shapes; pictures that need no gradient, or logits that do not come from them; a
                discriminator whose first derivative has no derivative, which would make the penalty do nothing.
        """
        if real_logits.numel() != real_images.shape[0]:
            raise ArgumentError(
                f"real_logits have shape {list(real_logits.shape)}, but [{real_images.shape[0]}, 1] is needed",
                f"one logit for each of the {real_images.shape[0]} pictures",
            )
        if not real_images.requires_grad:
            raise ArgumentError(
                "real_images do not require grad, so R1 cannot differentiate by them",
                hint="call real_images.requires_grad_(True) before the discriminator sees them",
            )
        gradient = self._gradient(real_logits, real_images)
        gradient = finite(gradient, "the gradient of D at the real pictures")
        return 0.5 * self.config.gamma * gradient.square().flatten(1).sum(1).mean()

    @staticmethod
    def _gradient(logits: Tensor, images: Tensor) -> Tensor:
        """∇_x Σ D(x) [B, 3, H, W], with its own graph."""
        gradient = None
        if logits.requires_grad:
            with no_weight_gradients():
                (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True, allow_unused=True)
        if gradient is None:
            raise ArgumentError(
                "real_logits do not depend on real_images",
                hint="pass the very tensor that went into the discriminator, and do not detach the logits",
            )
        if not gradient.requires_grad:
            raise ArgumentError(
                "the gradient of real_logits depends on no parameter, so the penalty would train nothing",
                "the discriminator's parameters are frozen, or one of its ops has no second derivative",
            )
        return gradient
