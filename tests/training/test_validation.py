"""AUC against hand counts and planted oracles."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from smoothswap.training.validation import auc, some_people, verification


def test_auc_by_hand() -> None:
    # Of 2 × 3 comparisons, 4 are won and 1 is a tie.
    assert auc(torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.4, 0.5])) == pytest.approx((3 + 1 + 0.5) / 6)
    assert math.isnan(auc(torch.zeros(0), torch.zeros(3)))


def test_oracles() -> None:
    labels = torch.arange(20).repeat_interleave(4)
    perfect = F.one_hot(labels).float()
    assert verification(perfect, labels) == {"auc": 1.0}
    assert verification(torch.ones(80, 1), labels)["auc"] == 0.5
    noise = F.normalize(torch.randn(80, 16), dim=1)
    assert verification(noise, labels)["auc"] == pytest.approx(0.5, abs=0.1)


def test_an_embedder_that_sees_colour_alone_fails_on_shape() -> None:
    labels = torch.arange(20).repeat_interleave(4)
    groups = labels // 5
    values = verification(F.one_hot(groups).float(), labels, groups)
    assert values["auc_shape"] == 0.5
    assert values["auc"] > 0.85


def test_people_are_taken_whole_and_from_everywhere() -> None:
    labels = torch.arange(100).repeat_interleave(20)
    kept = labels[some_people(labels, 80)]
    people, counts = torch.unique(kept, return_counts=True)
    assert len(people) == 10
    assert set(counts.tolist()) == {8}
    assert (people[0], people[-1]) == (0, 99)
    assert len(some_people(torch.arange(5), 2_000)) == 5
