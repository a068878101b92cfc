"""What is measured of an embedder, on planted oracles, and which pictures are taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from training.tiny import SIZE, Colours

from smoothswap.core.errors import ConfigError, WorkError
from smoothswap.core.interfaces import FaceInput
from smoothswap.training.validation import Validation, some_people

CPU = torch.device("cpu")


class ByColour(nn.Module):
    """Knows people by the mean colour of their picture, in steps, so that noise does not matter."""

    expects = FaceInput("ffhq", SIZE)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        spread = (images.mean(dim=(2, 3)) * 12).round()
        return nn.functional.normalize(spread + 0.01, dim=1)


class Constant(nn.Module):
    expects = FaceInput("ffhq", SIZE)

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 3), self.value)


def people(count: int = 6, each: int = 4) -> Any:
    return Colours(Colours.Config(people=count, each=each))


def test_figures_of_an_embedder_that_knows_and_of_one_that_does_not() -> None:
    validation = Validation(people(12), people(40), 2_000, "auc")
    knows = validation.measure(ByColour(), CPU, 0)
    assert set(knows) == {
        "auc", "auc_shape", "tar_at_far_1e-3", "knn_rank1", "alignment", "uniformity", "d_smooth",
        "interpolation_count",
    }  # fmt: skip
    assert knows["auc"] > 0.95
    assert knows["knn_rank1"] > 0.7
    assert knows["alignment"] < 0.1 < -knows["uniformity"]
    assert 0 < knows["d_smooth"] < 0.5
    assert knows == validation.measure(ByColour(), CPU, 0)
    constant = validation.measure(Constant(), CPU, 0)
    assert constant == validation.measure(Constant(0.3), CPU, 0)
    assert constant == {
        "auc": 0.5, "auc_shape": 0.5, "tar_at_far_1e-3": 0.0, "knn_rank1": pytest.approx(3 / 47), "alignment": 0.0,
        "uniformity": pytest.approx(0.0), "interpolation_count": 1.0,
    }  # fmt: skip
    with pytest.raises(WorkError, match="diverged after 640 images"):
        validation.measure(Constant(float("nan")), CPU, 640)


@pytest.mark.parametrize(("count", "name"), [(2, "1e-1"), (5, "1e-2"), (12, "1e-3")])
def test_the_rate_is_as_strict_as_the_pairs_allow(count: int, name: str) -> None:
    # Four pictures each: 16, 160 and 1056 pairs of two people.
    validation = Validation(people(count), people(), 2_000, "tar_at_far")
    assert validation.far == float(name)
    assert f"tar_at_far_{name}" in validation.measure(ByColour(), CPU, 0)


def test_data_that_does_not_give_the_figure_is_refused() -> None:
    with pytest.raises(ConfigError, match="pairs of one person: 0"):
        Validation(people(6, 1), people(), 2_000, "auc")
    alone = people(2, 2)
    alone.groups = torch.arange(2)
    assert Validation(alone, people(), 2_000, "auc").groups is None
    with pytest.raises(ConfigError, match="monitor cannot be 'auc_shape'"):
        Validation(alone, people(), 2_000, "auc_shape")
    with pytest.raises(ConfigError, match="monitor cannot be 'tar_at_far'"):
        Validation(people(2, 2), people(), 2_000, "tar_at_far")


def test_people_are_taken_whole_and_from_everywhere() -> None:
    labels = torch.arange(100).repeat_interleave(20)
    kept = labels[some_people(labels, 80)]
    people, counts = torch.unique(kept, return_counts=True)
    assert len(people) == 10
    assert set(counts.tolist()) == {8}
    assert (people[0], people[-1]) == (0, 99)
    assert len(some_people(torch.arange(5), 2_000)) == 5
    # Half way between two people the later one is taken, on every processor.
    assert some_people(torch.arange(12), 3).tolist() == [0, 6, 11]
    assert some_people(torch.arange(10), 3).tolist() == [0, 5, 9]
