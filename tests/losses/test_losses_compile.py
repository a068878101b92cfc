"""Losses trace to one graph, except `triplet` and `r1`, whose course depends on values and on a gradient inside."""

from __future__ import annotations

import pytest
import torch

import smoothswap

LABELS = torch.tensor([0, 0, 1, 1])
IMAGES = torch.zeros(4, 3, 8, 8)


@pytest.mark.parametrize(
    ("name", "options", "second"),
    [
        ("supcon", {}, LABELS),
        ("arcface", {"people": 2, "dim": 6}, LABELS),
        ("softmax", {"people": 2, "dim": 6}, LABELS),
        ("identity", {}, torch.ones(4, 6)),
    ],
)
def test_embedding_losses(name: str, options: dict[str, int], second: torch.Tensor) -> None:
    loss, z = smoothswap.build(name, "loss", **options), torch.randn(4, 6)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(z, second), loss(z, second))


def test_picture_and_logit_losses() -> None:
    change, adversarial = smoothswap.build("change", "loss"), smoothswap.build("adversarial", "loss")
    for loss, pair in ((change, (IMAGES + 1, IMAGES)), (adversarial, (torch.ones(4, 1), torch.zeros(4, 1)))):
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(*pair), loss(*pair))
