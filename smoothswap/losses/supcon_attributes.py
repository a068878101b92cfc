"""Supervised contrastive loss beside a linear readout of what is known of each person."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import option
from smoothswap.core.errors import ArgumentError
from smoothswap.losses.arguments import Across, finite, full_precision
from smoothswap.losses.supcon import SupConLoss
from smoothswap.ops.collectives import agree, size_of


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
            z: [N, D] identity vectors; they are scaled to unit length here. With several processes N may differ between
                them, and be 0.
            labels: [N] person indices.
            attributes: [N, A] what is known of those people, best of mean 0 and deviation 1.

        Returns:
            A scalar ≥ 0 in at least float32. With several processes that compare their images, the mean over the
            processes is the loss of the joint batch: each counts the errors of its own images.

        Raises:
            ArgumentError: as `supcon`, vectors of another length, or attributes of another shape or that are not
                finite; with several processes on all of them, whichever is at fault.
        """
        contrast = self.supcon(z, labels)
        fault = self._fault(z, attributes)
        images, processes = len(z), 1
        if self.across == "inside" and size_of() > 1:
            every = agree(fault, [images], z.device, None)
            images, processes = sum(count for (count,) in every), len(every)
        elif fault is not None:
            raise fault
        with full_precision(z):
            z = z if z.dtype == torch.float64 else z.float()
            weight, bias = self.readout.weight.to(z.dtype), self.readout.bias.to(z.dtype)
            read = F.linear(F.normalize(z, dim=1) * self.config.dim**0.5, weight, bias)
            error = (read - attributes).square().sum() / (max(images, 1) * self.config.attributes / processes)
        loss: Tensor = contrast + self.config.weight * error
        return loss

    def _fault(self, z: Tensor, attributes: Tensor) -> ArgumentError | None:
        """What is wrong with this process's arguments, beside what `supcon` finds."""
        wanted = [len(z), self.config.attributes]
        if z.shape[1] != self.config.dim:
            return ArgumentError(f"z has shape {list(z.shape)}, but [N, {self.config.dim}] is needed")
        if list(attributes.shape) != wanted:
            return ArgumentError(f"attributes have shape {list(attributes.shape)}, but {wanted} is needed")
        try:
            finite(attributes, "attributes")
        except ArgumentError as fault:
            return fault
        return None
