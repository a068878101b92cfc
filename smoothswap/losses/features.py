"""How far the swap is from the true swap to a network that has seen photographs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import swapped_and_truth
from smoothswap.losses.swap_batch import Need, SwapBatch
from smoothswap.modules.frozen.convert_efficientnet_lite import load_shipped
from smoothswap.modules.frozen.efficientnet_lite0 import EfficientNetLite0


class FeaturesLoss(nn.Module):
    """Difference of the features of swap and true swap in a frozen EfficientNet-Lite0 (Johnson et al. 2016).

        L_features = mean over scales of  mean |f(x_swap) − f(x_truth)|

    f are features at 4, 8, 16 and 32 pixels, each of about unit root mean square. Pixel distances hardly count a blur,
    the features do: of a FaceWorld swap, a blur by 3 × 3 pixels costs a fifth of what leaving the target costs in
    pixels, and half in features.
    """

    needs: tuple[Need, ...] = ("truth",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `features`."""

        scales: int = option(2, "features at 4, 8, 16, 32 pixels: the first so many of these", at_least=1, at_most=4)
        upsample: int = option(1, "enlarge the images that many times (bilinear) before the network", at_least=1)
        pretrained: bool = option(
            True, "weights from ImageNet (extra: frozen-features); else random ones, to compare with"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.trunk = EfficientNetLite0(config.scales)
        if config.pretrained:
            load_shipped(self.trunk)
        else:
            self.trunk.random_(torch.Generator().manual_seed(0))

    def forward(self, batch: SwapBatch) -> Tensor:
        """Loss of one batch.

        Args:
            batch: with `swapped` and `truth` [B, 3, H, W] in [-1, 1].

        Returns:
            A scalar ≥ 0, in at least float32.

        Raises:
            ArgumentError: no truth, wrong or different shapes, integers, non-finite values.
        """
        swapped, truth = swapped_and_truth(batch)
        wrong = self._features(swapped)
        with torch.no_grad():
            right = self._features(truth)
        return torch.stack([(a - b).abs().mean() for a, b in zip(wrong, right, strict=True)]).mean()

    def _features(self, images: Tensor) -> list[Tensor]:
        if self.config.upsample > 1:
            images = F.interpolate(images, scale_factor=self.config.upsample, mode="bilinear", align_corners=False)
        return self.trunk(images)  # type: ignore[no-any-return]
