"""Supervised contrastive loss beside a linear readout of what is known of each person."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import Across, full_precision
from smoothswap.losses.supcon import SupConLoss


class SupConAttributesLoss(nn.Module):
    """SupCon and the error of attributes that are read linearly from the vector.

        L = L_supcon + weight · mean of (W z √D + b − a)²

    a [A] are numbers known of each person, such as the standardised factors of FaceWorld's identities. A contrastive
    loss keeps what tells the people of a batch apart and no more: shapes of noses may be lost where colours suffice.
    W and b are trained with the embedder and dropped with the loss.

    Attributes:
        needs: `attributes`, which the data set must know.
    """

    needs = ("attributes",)

    @dataclass(frozen=True, kw_only=True)
    class Config(SupConLoss.Config):
        """Options of `supcon_attributes`."""

        dim: int = option(help="D, length of the vectors", at_least=1)
        attributes: int = option(help="A, numbers known of each person", at_least=1)
        weight: float = option(3.0, "factor of the readout's error", at_least=0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.supcon = SupConLoss(config)
        self.readout = nn.Linear(config.dim, config.attributes)

    @property
    def across(self) -> Across:
        """As `supcon`."""
        return self.supcon.across

    def forward(self, z: Tensor, labels: Tensor, attributes: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            z: [N, D] identity vectors.
            labels: [N] person indices.
            attributes: [N, A] what is known of those people.

        Returns:
            A scalar ≥ 0 in at least float32.

        Raises:
            ArgumentError: as `supcon`, or attributes of another shape.
        """
        contrast = self.supcon(z, labels)
        if attributes.shape != (len(z), self.config.attributes):
            raise ArgumentError(
                f"attributes have shape {list(attributes.shape)}, but [{len(z)}, {self.config.attributes}] is needed"
            )
        with full_precision(z):
            scaled = F.normalize(z.float(), dim=1) * self.config.dim**0.5
            error = (self.readout(scaled) - attributes).square()
        loss: Tensor = contrast + self.config.weight * error.mean()
        return loss
