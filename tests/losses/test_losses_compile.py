"""Losses trace to one graph, except `triplet` and `r1`, whose course depends on values and on a gradient inside."""

from __future__ import annotations

import pytest
import torch

import smoothswap
from smoothswap.losses.swap_batch import SwapBatch

LABELS = torch.tensor([0, 0, 1, 1])
IMAGES = torch.zeros(4, 3, 8, 8)


@pytest.mark.parametrize(
    ("name", "options", "more"),
    [
        ("supcon", {}, [LABELS]),
        ("supcon_attributes", {"dim": 6, "attributes": 3}, [LABELS, torch.ones(4, 3)]),
        ("arcface", {"people": 2, "dim": 6}, [LABELS]),
        ("softmax", {"people": 2, "dim": 6}, [LABELS]),
    ],
)
def test_embedding_losses(name: str, options: dict[str, int], more: list[torch.Tensor]) -> None:
    loss, z = smoothswap.build(name, "loss", **options), torch.randn(4, 6)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(z, *more), loss(z, *more))


@pytest.mark.parametrize(
    ("name", "options"),
    [("adversarial", {}), ("identity", {}), ("change", {"self_weight": 2.0}), ("truth", {"square": 1.0, "edges": 1.0})],
)
def test_swap_losses(name: str, options: dict[str, float]) -> None:
    z = torch.randn(4, 6)
    batch = SwapBatch(
        swapped=torch.randn_like(IMAGES),
        target=IMAGES,
        source=IMAGES,
        self_pair=torch.arange(4) < 1,
        z_swapped=(z, z[:, :3]),
        z_source=(z + 1, z[:, 3:]),
        logits=z[:, :1],
        truth=IMAGES + 1,
    )
    loss = smoothswap.build(name, "swap_loss", **options)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(batch), loss(batch))
