"""The losses of generator and discriminator against each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import finite
from smoothswap.losses.swap_batch import Need, SwapBatch


class AdversarialLoss(nn.Module):
    """Non-saturating logistic loss (Goodfellow et al. 2014, arXiv 1406.2661, section 3; used by StyleGAN2).

        generator:      mean of softplus(−D(x_fake))
        discriminator:  mean of softplus(D(x_fake)) + mean of softplus(−D(x_real))

    D gives logits, positive for real. `forward` is the generator's side, as a recipe's loss.
    """

    needs: tuple[Need, ...] = ("logits",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """`adversarial` has no options."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Loss of the generator: low where the discriminator takes its pictures for real.

        Args:
            fake_logits: [B, 1] or [B], with the graph to the generated pictures.

        Returns:
            A scalar > 0 in at least float32.

        Raises:
            ArgumentError: wrong shape, non-finite values.
        """
        return F.softplus(-_logits(fake_logits, "fake_logits")).mean()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Loss of the discriminator.

        Args:
            real_logits: [B, 1] or [B] of photographs.
            fake_logits: [B', 1] or [B'] of generated pictures, detached from the generator.

        Returns:
            A scalar > 0 in at least float32; 2·log 2 = 1.386 for a discriminator that knows nothing.

        Raises:
            ArgumentError: wrong shape, non-finite values.
        """
        real, fake = _logits(real_logits, "real_logits"), _logits(fake_logits, "fake_logits")
        return F.softplus(fake).mean() + F.softplus(-real).mean()

    def forward(self, batch: SwapBatch) -> Tensor:
        """Loss of the generator on a batch with `logits` [B, 1].

        Raises:
            ArgumentError: no logits, wrong shape, non-finite values.
        """
        if batch.logits is None:
            raise ArgumentError("the batch has no logits of a discriminator")
        return self.generator(batch.logits)


def _logits(logits: Tensor, name: str) -> Tensor:
    if logits.numel() == 0 or logits.numel() != logits.shape[0]:
        raise ArgumentError(f"{name} has shape {list(logits.shape)}, but [B, 1] is needed, with B at least 1")
    return finite(logits, name)
