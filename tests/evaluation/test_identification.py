from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import neighbours
from smoothswap.evaluation.identification import identify


def on_circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_by_hand() -> None:
    # Pictures of A at 0°, 10° and 100°, of B at 12° and 104°, of C at 200°, who has no second picture.
    z = on_circle(0, 10, 100, 12, 104, 200)
    labels = torch.tensor([5, 5, 5, 2, 2, 9])
    found = identify(z, labels, k=3)
    # Nearest: 0° → 10° right; 10° → 12° wrong; 100° → 104° wrong; 12° → 10° wrong; 104° → 100° wrong.
    assert (found.rank1, found.queries, found.k) == (1 / 5, 5, 3)
    # Three votes: 0° hears 10 A, 12 B, 100 A: right. 10° hears 12 B, 0 A, 100 A: right. 100° hears 104 B, 12 B, 10 A:
    # wrong. 12° hears 10 A, 0 A, 100 A: wrong. 104° hears 100 A, 12 B, 10 A: wrong.
    assert found.vote == 2 / 5


def test_of_equal_votes_the_nearer_count_more() -> None:
    # 0° hears 1° (A) and 2° (B), one vote each, and A is nearer; 20° and 21° are each other's.
    z = on_circle(0, 1, 2, 20, 21)
    found = identify(z, torch.tensor([0, 0, 1, 1, 1]), k=2)
    # 0°: A. 1°: 0° and 2° are as near: shared. 2°: 1 and 0, both A: wrong. 20°: 21 and 2: right. 21°: 20 and 2: right.
    assert found.vote == pytest.approx((1 + 0.5 + 0 + 1 + 1) / 5)


def test_oracles() -> None:
    labels = torch.arange(20).repeat_interleave(4)
    perfect = identify(F.one_hot(labels).float(), labels)
    assert (perfect.rank1, perfect.vote) == (1.0, 1.0)
    constant = identify(torch.randn(1, 7).expand(80, -1), labels)
    assert constant.rank1 == pytest.approx(3 / 79)  # one's own three others among 79
    noise = identify(F.normalize(torch.randn(800, 8), dim=1), torch.arange(200).repeat_interleave(4))
    assert noise.rank1 == pytest.approx(3 / 799, abs=0.01)


def test_the_order_of_the_pictures_and_the_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.randint(12, (60,))
    z = (torch.randn(12, 3)[labels] + torch.randn(60, 3)).round() + 0.5
    whole = identify(z, labels)
    order = torch.randperm(60)
    figures = whole.rank1, whole.vote
    assert 0 < whole.vote < 1
    moved = identify(z[order], labels[order])
    assert (moved.rank1, moved.vote) == figures
    monkeypatch.setattr(neighbours, "_BLOCK", 100)
    parts = identify(z, labels)
    assert (parts.rank1, parts.vote) == figures


@pytest.mark.parametrize("dimensions", [3, 7, 512])
def test_duplicates_share_whatever_their_length(dimensions: int) -> None:
    # Of each of 20 pictures a copy of the same person and one of another, at other lengths: half of them are right.
    z = torch.randn(20, dimensions)
    order = torch.randperm(20)
    copies = torch.cat([z, 3 * z[order], 0.1 * z])
    labels = torch.cat([torch.arange(20), order, torch.arange(20) + 20])
    queries = 40  # the strangers are alone
    found = identify(copies, labels, k=1)
    assert (found.rank1, found.vote, found.queries) == (0.5, 0.5, queries)
    assert identify(copies, labels, k=2).vote == 0.5


def test_constant_embedders_share_exactly() -> None:
    labels = torch.arange(20).repeat_interleave(4)
    for dimensions in (3, 7, 512):
        for vector in (torch.randn(1, dimensions), torch.ones(1, dimensions)):
            z = vector * torch.linspace(0.1, 9, 80)[:, None]
            found = identify(z, labels)
            # The others have four pictures that vote, one's own person only three.
            assert (found.rank1, found.vote) == (3 / 79, 0.0)


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="person with two pictures"):
        identify(torch.eye(3), torch.arange(3))
    with pytest.raises(ArgumentError, match="k must be at least 1, got 0"):
        identify(torch.eye(3), torch.zeros(3), k=0)
    with pytest.raises(ArgumentError, match=r"labels: \[2\]"):
        identify(torch.eye(3), torch.arange(2))
    with pytest.raises(ArgumentError, match="not finite"):
        identify(torch.full((2, 2), float("nan")), torch.zeros(2))
