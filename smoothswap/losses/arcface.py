"""ArcFace: classification of people with an additive angular margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import Across, full_precision, labels_of, vectors
from smoothswap.losses.class_blocks import too_large
from smoothswap.ops.classes_lse import classes_lse

# Below this sin² the derivative of the sine is replaced by 0: it grows without bound towards θ = 0 and θ = π.
_SMALLEST_SIN2 = 1e-6


class ArcFaceLoss(nn.Module):
    """Additive angular margin loss (Deng et al. 2019, arXiv 1801.07698, eq. 3).

    With θ_j the angle between the embedding and the centre w_j of person j, y the true person:

        L = mean of  cross-entropy over j of  s·cos(θ_y + m) for j = y,  s·cos θ_j otherwise

    cos(θ + m) rises again beyond θ + m = π; there the authors' code continues it by cos θ − m·sin m, which keeps
    falling with θ, so that even an embedding opposite to its centre is pulled towards it. `weight` [P, D] is trained
    with the embedder and belongs to the loss: give its parameters to the embedder's optimiser. Many people times a
    large batch are computed in blocks of people, without the logits of all in memory.
    """

    across: Across = "separate"

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `arcface`."""

        people: int = option(help="number of people in the training set", at_least=2)
        dim: int = option(512, "length D of the identity vectors", at_least=1)
        scale: float = option(64.0, "s, multiplies the cosines", above=0)
        margin: float = option(0.5, "m, angle added to the true person's, radians", at_least=0, at_most=math.pi / 2)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.randn(config.people, config.dim) * 0.01)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            embeddings: [N, D] identity vectors of any length; only their directions count.
            labels: [N] person indices, 0 … people − 1.

        Returns:
            A scalar ≥ 0 in at least float32.

        Raises:
            ArgumentError: wrong shapes, a label outside of the range, non-finite vectors.
        """
        embeddings = vectors(embeddings, "embeddings", dim=self.config.dim)
        labels = labels_of(labels, embeddings, people=self.config.people)
        with full_precision(embeddings):
            return (self.in_blocks if too_large(embeddings, self.weight) else self.whole)(embeddings, labels)

    def whole(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of embeddings [N, D] and labels [N] by way of all logits [N, P]."""
        return F.cross_entropy(self.logits(embeddings, labels), labels)

    def in_blocks(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The same loss with the logits of a block of people at a time; differentiable once."""
        z, weight, scale = F.normalize(embeddings, dim=1), self.weight.to(embeddings.dtype), self.config.scale
        others, true = classes_lse(z, weight, None, labels, scale, unit=True)
        return F.softplus(others - scale * self.with_margin(true.clamp(-1.0, 1.0))).mean()

    def logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scaled cosines [N, P] to every person's centre, with the margin at the true person.

        Args:
            embeddings: [N, D] of any length.
            labels: [N] person indices.
        """
        weight = self.weight.to(embeddings.dtype)
        cosine = F.linear(F.normalize(embeddings, dim=1), F.normalize(weight, dim=1)).clamp(-1.0, 1.0)
        true = cosine.gather(1, labels[:, None])
        return self.config.scale * cosine.scatter(1, labels[:, None], self.with_margin(true))

    def with_margin(self, cosine: Tensor) -> Tensor:
        """cos(θ + m) from cos θ (any shape), continued beyond θ + m = π so that it never rises with θ."""
        m = self.config.margin
        sine = (1.0 - cosine.square()).clamp_min(_SMALLEST_SIN2).sqrt()
        inside = cosine * math.cos(m) - sine * math.sin(m)
        return torch.where(cosine > -math.cos(m), inside, cosine - m * math.sin(m))
