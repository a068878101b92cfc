"""How much the swap changes the target picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import finite, pictures
from smoothswap.losses.swap_batch import Need, SwapBatch


class ChangeLoss(nn.Module):
    """Change loss of the swapper (Smooth-Swap, arXiv 2112.05907), weighted by λ_chg: keeps expression and pose.

    L_chg = mean over the batch of  1/D ‖x_swap − x_target‖²,   D = 3·H·W pixel values
    """

    needs: tuple[Need, ...] = ()

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `change`."""

        self_weight: float = option(1.0, "weight of pairs whose source is their target, against 1", at_least=0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, batch: SwapBatch) -> Tensor:
        """Loss of one batch.

        Args:
            batch: with `swapped`, `target` [B, 3, H, W] in [-1, 1] and `self_pair` [B].

        Returns:
            A scalar ≥ 0 (0 … 4 for pictures in the range), in at least float32.

        Raises:
            ArgumentError: wrong or different shapes, integers (uint8 pictures), non-finite values.
        """
        pictures(batch.swapped, batch.target, "swapped", "target")
        difference = finite(batch.swapped, "swapped") - finite(batch.target, "target")
        squares = difference.square().mean((1, 2, 3))
        return (squares * (1 + (self.config.self_weight - 1) * batch.self_pair)).mean()
