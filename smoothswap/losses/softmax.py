"""Plain classification of people, as the VGGFace2 embedder is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.config import Options, option
from smoothswap.losses.arguments import Across, full_precision, labels_of, vectors
from smoothswap.losses.class_blocks import too_large
from smoothswap.ops.classes_lse import classes_lse


class SoftmaxLoss(nn.Module):
    """Cross-entropy of a linear classifier on the embeddings (Cao et al. 2018, arXiv 1710.08092, section 4).

        L = mean of −log softmax(W·(α z) + b)[y]

    Our embedders return unit vectors, whose logits an ordinary head could hardly spread; α multiplies them first
    (Ranjan et al. 2017, arXiv 1703.09507, who show that α must exceed log(p·(P−2)/(1−p)) to reach probability p:
    11.3 for p = 0.9 and 9 000 people). `weight` [P, D] and `bias` [P] are trained with the embedder and belong to the
    loss: give its parameters to the embedder's optimiser. Many people times a large batch are computed in blocks of
    people, without the logits of all in memory.
    """

    across: Across = "separate"

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `softmax`."""

        people: int = option(help="number of people in the training set", at_least=2)
        dim: int = option(512, "length D of the identity vectors", at_least=1)
        scale: float = option(
            16.0, "α, multiplies the embeddings before the classifier; 1 for embeddings of free length", above=0
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        head = nn.Linear(config.dim, config.people)
        self.weight, self.bias = head.weight, head.bias

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            embeddings: [N, D] identity vectors.
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
        weight, bias = self.weight.to(embeddings.dtype), self.bias.to(embeddings.dtype)
        return F.cross_entropy(F.linear(self.config.scale * embeddings, weight, bias), labels)

    def in_blocks(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The same loss with the logits of a block of people at a time; differentiable once."""
        weight, bias = self.weight.to(embeddings.dtype), self.bias.to(embeddings.dtype)
        others, true = classes_lse(embeddings, weight, bias, labels, self.config.scale)
        return F.softplus(others - self.config.scale * true - bias[labels]).mean()
