from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from evaluation.test_identification import on_circle

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import nearest, neighbours


def test_by_hand() -> None:
    gallery = torch.cat([on_circle(0, 90), 5 * on_circle(20)])
    assert nearest(on_circle(9, 11, 54, 56, 200), gallery).tolist() == [0, 2, 2, 1, 1]
    assert nearest(on_circle(45), on_circle(90, 0)).tolist() == [0]  # as near to either
    assert nearest(on_circle(), on_circle(0)).tolist() == []


@pytest.mark.parametrize("D", [3, 7, 512])
@pytest.mark.parametrize("block", [1, 500, 2**22])
def test_of_duplicates_the_first_is_found(monkeypatch: pytest.MonkeyPatch, D: int, block: int) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    gallery = torch.randn(40, D)
    # Each direction three times more, at other lengths, each time in another order.
    orders = [torch.arange(40), *(torch.randperm(40) for _ in range(3))]
    copies = torch.cat([gallery[order] * scale for order, scale in zip(orders, (1, 3, 0.1, 7e5), strict=True)])
    queries = gallery.repeat(3, 1) + 0.1 * torch.randn(120, D)
    expected = (F.normalize(queries.double(), dim=1) @ F.normalize(gallery.double(), dim=1).T).argmax(1)
    assert torch.equal(nearest(queries, copies), expected)
    # The other way round, the last of the blocks of the gallery comes first.
    last = nearest(queries, copies.flip(0))
    assert torch.equal(orders[3].flip(0)[last], expected)


def test_a_constant_gallery_has_one_nearest() -> None:
    for D in (3, 7, 512):
        for z in (torch.ones(1, D), torch.randn(1, D)):
            assert nearest(torch.randn(90, D), z.expand(157, -1)).unique().tolist() == [0]


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"queries: \[2, 2\][\s\S]*gallery: \[3, 3\]"):
        nearest(torch.eye(2), torch.eye(3))
    with pytest.raises(ArgumentError, match=r"gallery: \[0, 3\]"):
        nearest(torch.eye(3), torch.zeros(0, 3))
    with pytest.raises(ArgumentError, match="not finite"):
        nearest(torch.eye(2), torch.eye(2) / 0)
