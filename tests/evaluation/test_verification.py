from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import neighbours, verification
from smoothswap.evaluation.verification import auc, pair_scores, tar_at_far, verification_auc, verify
from smoothswap.modules.cosines import TIE


def test_auc_by_hand() -> None:
    # Of the 2·3 comparisons 0.9 wins three; 0.4 wins against 0.1, ties with 0.4, loses to 0.7.
    assert auc(torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.4, 0.7])) == pytest.approx((3 + 1 + 0.5) / 6)


def test_auc_of_separated_scores() -> None:
    low, high = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.8, 0.9])
    assert auc(high, low) == 1.0
    assert auc(low, high) == 0.0


def test_auc_of_constant_scores_is_chance() -> None:
    assert auc(torch.zeros(5), torch.zeros(7)) == 0.5


scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12).map(torch.tensor)


@settings(max_examples=60, deadline=None)
@given(same=scores, different=scores)
def test_auc_is_the_chance_to_win(same: torch.Tensor, different: torch.Tensor) -> None:
    wins = (same[:, None] > different).double() + 0.5 * (same[:, None] == different).double()
    assert auc(same, different) == pytest.approx(float(wins.mean()))
    assert auc(same, different) + auc(different, same) == pytest.approx(1)
    assert auc(same.exp(), different.exp()) == pytest.approx(auc(same, different))


def test_tar_at_far_by_hand() -> None:
    same = torch.tensor([0.9, 0.75, 0.5, 0.2])
    different = torch.tensor([0.8, 0.6, 0.4, 0.3, 0.1])
    assert tar_at_far(same, different, 0.0) == 0.25  # only 0.9 lies above 0.8
    assert tar_at_far(same, different, 0.2) == 0.5  # one false accept: above 0.6
    assert tar_at_far(same, different, 0.39) == 0.5  # two would be 0.4
    assert tar_at_far(same, different, 0.4) == 0.75
    assert tar_at_far(same, different, 1.0) == 1.0


def test_tar_at_far_does_not_let_ties_through() -> None:
    # Accepting 0.5 would accept three of four pairs of two people, so the bar must lie above it.
    assert tar_at_far(torch.tensor([0.5, 0.6]), torch.tensor([0.5, 0.5, 0.5, 0.1]), 0.5) == 0.5


@settings(max_examples=60, deadline=None)
@given(different=scores, far=st.floats(0, 0.99))
def test_threshold_keeps_the_false_accept_rate(different: torch.Tensor, far: float) -> None:
    # With the same scores on both sides, TAR is the false accept rate at the threshold.
    assert tar_at_far(different, different, far) <= far + 1e-9


def test_pairs_are_counted_once_and_split() -> None:
    z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    same, different = pair_scores(z, torch.tensor([0, 0, 1]))
    assert same.tolist() == [1.0]
    assert different.tolist() == [0.0, 0.0]


def test_within_groups_only_shape_can_help() -> None:
    # Two groups of two people; the first two dimensions tell the group (colour), the third the person (shape).
    labels = torch.arange(4).repeat_interleave(3)
    groups = labels // 2
    colour = torch.nn.functional.one_hot(groups, 2).double()
    torch.manual_seed(0)
    noise = torch.randn(12, 1, dtype=torch.float64)
    by_colour = torch.cat([colour, 1e-3 * noise], dim=1)
    assert verification_auc(by_colour, labels) > 0.8
    assert abs(verification_auc(by_colour, labels, groups) - 0.5) < 0.35
    shape = (labels % 2).double()[:, None]
    assert verification_auc(torch.cat([colour, shape], dim=1), labels, groups) == 1.0
    # Colour counts for nothing inside a group: moving a whole group changes no within-group figure.
    assert verification_auc(torch.cat([0 * colour + 1, shape], dim=1), labels, groups) == 1.0


def test_planted_embedder_and_shuffled_labels() -> None:
    torch.manual_seed(1)
    people = torch.randn(40, 16)
    labels = torch.arange(40).repeat_interleave(4)
    z = people[labels] + 0.05 * torch.randn(160, 16)
    assert verification_auc(z, labels) == 1.0
    assert verification_auc(z, labels[torch.randperm(160)]) == pytest.approx(0.5, abs=0.06)


def test_errors_say_what_is_missing() -> None:
    with pytest.raises(ArgumentError, match="pairs of one person: 0"):
        verification_auc(torch.eye(3), torch.arange(3))
    with pytest.raises(ArgumentError, match="pairs of two people: 0"):
        verification_auc(torch.eye(3), torch.zeros(3))
    with pytest.raises(ArgumentError, match=r"labels: \[2\]"):
        verification_auc(torch.eye(3), torch.arange(2))
    with pytest.raises(ArgumentError, match="NaN"):
        auc(torch.tensor([float("nan")]), torch.ones(1))
    with pytest.raises(ArgumentError, match=r"far must be from 0 to 1, got 1\.5"):
        tar_at_far(torch.ones(1), torch.ones(1), 1.5)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("block", [1, 64, 2**22])
def test_going_block_by_block_changes_no_figure(monkeypatch: pytest.MonkeyPatch, grouped: bool, block: int) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    labels = torch.randint(9, (70,))
    groups = labels % 3 if grouped else None
    # Coarse vectors, so that scores tie.
    z = (torch.randn(9, 4)[labels] + torch.randn(70, 4)).round() + 0.5
    same, different = pair_scores(z, labels, groups)
    for far in (0.0, 0.01, 0.3, 1.0):
        found = verify(z, labels, groups, far=far)
        assert (found.same, found.different) == (len(same), len(different))
        assert found.auc == pytest.approx(auc(same, different, tie=TIE), abs=1e-12)
        assert found.tar == tar_at_far(same, different, far, tie=TIE)


def test_a_constant_embedder_is_chance_whatever_its_vector() -> None:
    labels = torch.arange(33) // 3
    for dimensions in (3, 7, 65, 512):
        for vector in (torch.randn(1, dimensions), torch.ones(1, dimensions), 1e-6 * torch.randn(1, dimensions)):
            z = vector.expand(33, -1)
            found = verify(z, labels, far=0.1)
            assert (found.auc, found.tar) == (0.5, 0.0)
            assert auc(*pair_scores(z, labels)) == 0.5
            assert tar_at_far(*pair_scores(z, labels), far=0.1) == 0.0


@pytest.mark.parametrize("dimensions", [3, 7, 512])
def test_lengths_and_the_rounding_of_float32_count_for_nothing(dimensions: int) -> None:
    # One direction at 33 lengths: without a tolerance same-person pairs win and lose by the rounding.
    labels = torch.arange(33) // 3
    z = torch.randn(1, dimensions) * torch.linspace(0.1, 9, 33)[:, None]
    found = verify(z, labels, far=0.1)
    assert (found.auc, found.tar) == (0.5, 0.0)
    # Every picture twice, at another length: figures as for exact copies.
    people = torch.randn(20, dimensions)
    one = torch.arange(20) // 4
    exact, scaled = (verify(torch.cat([people, people * scale]), torch.cat([one, one]), far=0.2) for scale in (1, 3))
    assert exact == scaled


def test_a_tie_reaches_as_far_as_it_is_said_to() -> None:
    same, different = torch.tensor([0.5, 0.7]), torch.tensor([0.5 - 1e-4, 0.5 + 1e-4])
    assert auc(same, different) == (1 + 0 + 2) / 4
    assert auc(same, different, tie=1e-3) == (0.5 + 0.5 + 2) / 4
    assert auc(different, same, tie=1e-3) == 1 / 4
    # More of the one or the other: both are counted from the shorter list.
    assert auc(same, different.repeat(3), tie=1e-3) == auc(same.repeat(3), different, tie=1e-3) == 3 / 4
    assert tar_at_far(same, different, 0.0) == 0.5
    assert tar_at_far(same - 0.19995, different, 0.0, tie=1e-3) == 0.0


def test_many_pictures_need_no_matrix_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", 2**16)
    largest = 0
    original = verification._different_scores

    def watched(z: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor) -> object:
        nonlocal largest
        for scores in original(z, labels, groups):
            largest = max(largest, scores.numel())
            yield scores

    monkeypatch.setattr(verification, "_different_scores", watched)
    labels = torch.arange(1200) // 3
    found = verify(torch.randn(1200, 2), labels)
    assert found.same + found.different == 1200 * 1199 // 2
    assert found.auc == pytest.approx(0.5, abs=0.05)
    assert largest <= 2**16
