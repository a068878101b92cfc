"""Verification of listed pairs: hand-computed accuracy, thresholds, equal error rate, ROC."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import equal_error_rate, listed_scores, roc, verify_listed
from smoothswap.evaluation.pair_verification import best_threshold, worst_pairs


def test_accuracy_by_hand() -> None:
    # Fold 0: 0.9 and 0.4 of one person, 0.1 and 0.5 of two. Fold 1: 0.8, 0.7 and 0.2, 0.3.
    scores = torch.tensor([0.9, 0.4, 0.1, 0.5, 0.8, 0.7, 0.2, 0.3])
    same = torch.tensor([True, True, False, False] * 2)
    folds = torch.tensor([0] * 4 + [1] * 4)
    figures = verify_listed(scores, same, folds)
    # Fold 1 sets 0.5 (between 0.3 and 0.7) for fold 0: 0.5 is not above it, 0.4 of one person is lost: 3 of 4.
    # Fold 0 sets 0.25 (between 0.1 and 0.4), the lowest with 3 of 4 right, for fold 1: 0.3 is wrong: 3 of 4.
    assert figures.thresholds == pytest.approx((0.5, 0.25))
    assert figures.folds == (0.75, 0.75)
    assert (figures.accuracy, figures.error) == (0.75, 0.0)
    assert (figures.same, figures.different) == (4, 4)
    # Of 16 comparisons 0.4 against 0.5 alone is lost.
    assert figures.auc == pytest.approx(15 / 16)
    assert figures.tar[0.1] == pytest.approx(3 / 4)
    assert figures.eer == pytest.approx(1 / 4)


def test_error_is_of_the_mean_over_folds() -> None:
    scores = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    same = torch.tensor([True, False] * 3)
    figures = verify_listed(scores, same, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert figures.folds == (0.5, 0.5, 0.0)
    assert figures.accuracy == pytest.approx(1 / 3)
    assert figures.error == pytest.approx(math.sqrt(1 / 12) / math.sqrt(3))


def test_a_perfect_and_a_constant_embedder() -> None:
    folds = torch.arange(40) % 10
    same = torch.arange(40) < 20
    z = torch.eye(4)
    first = torch.where(same, 0, 1)
    perfect = verify_listed(listed_scores(z, first, torch.zeros(40, dtype=torch.long)), same, folds)
    assert (perfect.accuracy, perfect.auc, perfect.eer) == (1.0, 1.0, 0.0)
    assert set(perfect.tar.values()) == {1.0}
    constant = verify_listed(torch.full((40,), 0.3), same, folds)
    assert (constant.accuracy, constant.auc, constant.eer) == (0.5, 0.5, 0.5)
    assert constant.tar[0.1] == 0.0


def test_scores_have_the_same_bits_whatever_the_length_and_order() -> None:
    z = torch.randn(9, 512, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    first, second = torch.arange(8), torch.arange(1, 9)
    scores = listed_scores(z, first, second)
    turned = listed_scores(z.flip(1) * 4, first, second)
    assert torch.equal(scores, turned)
    torch.testing.assert_close(scores, torch.cosine_similarity(z[first], z[second]), atol=1e-7, rtol=0)


def test_best_threshold_between_equal_scores_there_is_none() -> None:
    scores = torch.tensor([0.2, 0.5, 0.5 + 1e-9, 0.9])
    assert best_threshold(scores, torch.tensor([False, False, True, True])) == pytest.approx(0.35)
    assert best_threshold(torch.tensor([0.1, 0.2]), torch.tensor([True, True])) == pytest.approx(-0.9)
    assert best_threshold(torch.tensor([0.1, 0.2]), torch.tensor([False, False])) == pytest.approx(1.2)


def test_roc_runs_from_nothing_to_all() -> None:
    far, tar = roc(torch.tensor([0.9, 0.5]), torch.tensor([0.5, 0.1]))
    assert far.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert tar.tolist() == [0.0, 0.5, 1.0, 1.0]


def test_equal_error_rate_between_two_thresholds() -> None:
    # (FAR, FRR): (0, 1), (0, 0.5), (1/3, 0.5), (1/3, 0), …: along the last step they meet at FAR 1/3.
    assert equal_error_rate(torch.tensor([0.9, 0.3]), torch.tensor([0.5, 0.2, 0.1])) == pytest.approx(1 / 3)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12), st.integers(1, 6))
def test_equal_error_rate_of_one_distribution_is_a_half(values: list[float], copies: int) -> None:
    scores = torch.tensor(values * copies)
    assert equal_error_rate(scores, torch.tensor(values)) == pytest.approx(0.5)


def test_worst_pairs_of_each_kind() -> None:
    scores = torch.tensor([0.9, 0.1, 0.3, 0.8, 0.2])
    same = torch.tensor([True, True, True, False, False])
    assert worst_pairs(scores, same, 2) == ([1, 2], [3, 4])
    assert worst_pairs(scores, same, 0) == ([], [])


def test_errors() -> None:
    scores, same = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([True, False, True, False])
    with pytest.raises(ArgumentError, match="do not go together"):
        verify_listed(scores, same[:3], torch.zeros(4, dtype=torch.long))
    with pytest.raises(ArgumentError, match="two folds"):
        verify_listed(scores, same, torch.zeros(4, dtype=torch.long))
    with pytest.raises(ArgumentError, match="not a number"):
        verify_listed(torch.tensor([0.1, math.nan, 0.3, 0.4]), same, torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ArgumentError, match="pairs of two people: 0"):
        verify_listed(scores, torch.ones(4, dtype=torch.bool), torch.tensor([0, 0, 1, 1]))
