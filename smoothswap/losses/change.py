"""How much the swap changes the target picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from smoothswap.core.config import Options
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import finite, same_shape


class ChangeLoss(nn.Module):
    """Change loss of the swapper (Smooth-Swap, arXiv 2112.05907): keeps expression, pose and background.

    L_chg = mean over the batch of  1/D ‖x_swap − x_target‖²,   D = 3·H·W pixel values
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """`change` has no options."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, swapped: Tensor, target: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            swapped: [B, 3, H, W] swapped pictures, [-1, 1].
            target: [B, 3, H, W] target pictures, [-1, 1].

        Returns:
            A scalar ≥ 0 (0 … 4 for pictures in the range), in at least float32.

        Raises:
            ArgumentError: wrong or different shapes, integers (uint8 pictures), non-finite values.
        """
        same_shape(swapped, target, "swapped", "target")
        if swapped.dim() != 4 or swapped.numel() == 0:
            raise ArgumentError(
                f"swapped has shape {list(swapped.shape)}, but [B, 3, H, W] is needed, with B at least 1"
            )
        return (finite(swapped, "swapped") - finite(target, "target")).square().mean()
