from __future__ import annotations

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.measured import Likeness
from smoothswap.evaluation.similarity import nearer_to_source, similarity
from smoothswap.modules.cosines import TIE


def test_similarity_is_the_cosine_of_each_row() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 1.0], [3.0, 4.0]])
    b = torch.tensor([[0.0, 2.0], [2.0, 2.0], [-6.0, -8.0]])
    assert similarity(a, b).tolist() == pytest.approx([0.0, 1.0, -1.0])


def test_a_copied_target_is_never_nearer_to_the_source() -> None:
    torch.manual_seed(0)
    source, target = torch.randn(50, 8), torch.randn(50, 8)
    assert not nearer_to_source(target, source, target).any()
    assert nearer_to_source(source, source, target).all()


def test_nearer_counts_the_right_person() -> None:
    source, target = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert nearer_to_source(torch.tensor([[2.0, 1.0]]), source, target).tolist() == [True]
    assert nearer_to_source(torch.tensor([[1.0, 2.0]]), source, target).tolist() == [False]
    assert nearer_to_source(torch.tensor([[1.0, 1.0]]), source, target).tolist() == [False]


@pytest.mark.parametrize("dimensions", [3, 7, 512])
def test_as_near_to_either_is_not_nearer(dimensions: int) -> None:
    swapped, person = torch.randn(2, 200, dimensions).unbind()
    # One person at two lengths, and a mirrored one: equal cosines, but for rounding.
    assert not nearer_to_source(swapped, 3 * person, person).any()
    assert not nearer_to_source(swapped, person, 0.1 * person).any()
    middle = torch.nn.functional.normalize(swapped.double(), dim=1)
    mirrored = 2 * (person.double() * middle).sum(1, keepdim=True) * middle - person.double()
    assert not nearer_to_source(swapped, mirrored.float(), person).any()
    assert not nearer_to_source(swapped, person, mirrored.float()).any()


def test_measurements_count_nearer_alike() -> None:
    to_target = torch.tensor([0.3, 0.3, -0.9], dtype=torch.float64)
    to_source = to_target + torch.tensor([TIE / 2, 4 * TIE, -0.01], dtype=torch.float64)
    assert Likeness(to_source, to_target).nearer.tolist() == [0, 1, 0]


def test_shuffled_pairs_are_at_chance() -> None:
    torch.manual_seed(0)
    source, target, swapped = torch.randn(3, 4000, 16).unbind()
    assert float(nearer_to_source(swapped, source, target).double().mean()) == pytest.approx(0.5, abs=0.03)


def test_shapes_must_agree() -> None:
    with pytest.raises(ArgumentError, match=r"\[2, 3\] and \[1, 3\]"):
        similarity(torch.ones(2, 3), torch.ones(1, 3))
