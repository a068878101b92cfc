"""Each criterion against an answer that fails it alone, or that must not pass."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from evaluation.planted import PAIRS, Knows, confused_judge, knowing_judge, report, scene
from torch import Tensor

from smoothswap.core.errors import ConfigError
from smoothswap.evaluation import AlikeThresholds, Criterion, Likeness, Scene, SwapReport, Thresholds

NAMES = (
    "nearest_rate", "nearest_rate_other", "gain_face", "gain_whole", "gain_over_source", "background",
    "share_outline", "sharpness",
)  # fmt: skip

# Not the defaults, so that these may change.
LIMITS = Thresholds(
    nearest_rate=0.99, further_rate=0.95, gain_face=6, gain_whole=6, gain_over_source=4, background=38,
    share_outline=0.7, sharpness=0.8,
)  # fmt: skip
ALIKE = AlikeThresholds(gain_face=3, share_outline=0.5, judge_errors=1)


@pytest.fixture(scope="module")
def world() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def judge() -> Knows:
    return knowing_judge()


def failed(told: SwapReport, thresholds: Thresholds | AlikeThresholds = LIMITS) -> set[str]:
    return {criterion.name for criterion in told.criteria(thresholds) if not criterion.passed}


def blurred(images: Tensor) -> Tensor:
    line = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)


def inside(mask: Tensor, images: Tensor, elsewhere: Tensor) -> Tensor:
    return torch.where(mask > 0.5, images, elsewhere)


def test_a_perfect_swap_passes_all(world: Scene, judge: Knows) -> None:
    told = report(world.truth, world, judge, further_judges={"other": judge})
    assert tuple(criterion.name for criterion in told.criteria()) == NAMES
    assert failed(told) == set()
    assert told.passed()


def test_a_copied_target_passes_only_what_it_keeps(world: Scene, judge: Knows) -> None:
    told = report(world.target, world, judge, further_judges={"other": judge})
    assert failed(told) == set(NAMES) - {"background", "sharpness"}


def test_a_copied_source_is_only_the_right_person(world: Scene, judge: Knows) -> None:
    told = report(world.source, world, judge, further_judges={"other": judge})
    assert {"gain_face", "gain_whole", "gain_over_source", "background"} <= failed(told)
    assert not {"nearest_rate", "nearest_rate_other"} & failed(told)


def test_a_blurred_true_swap_fails_sharpness_alone(world: Scene, judge: Knows) -> None:
    swap = inside(world.head, blurred(world.truth), world.truth)
    told = report(swap, world, judge, further_judges={"other": judge})
    assert failed(told) == {"sharpness"}
    assert told.swap.sharpness.value < 0.4


def test_a_noisy_true_swap_fails_sharpness_alone(world: Scene, judge: Knows) -> None:
    torch.manual_seed(0)
    swap = inside(world.head, world.truth + 0.08 * torch.randn_like(world.truth), world.truth)
    told = report(swap, world, judge)
    assert failed(told) == {"sharpness"}
    assert told.swap.sharpness.value > 1.3


def test_the_targets_outline_fails_that_alone(world: Scene, judge: Knows) -> None:
    told = report(inside(world.outline, world.target, world.truth), world, judge)
    limits = dataclasses.replace(LIMITS, nearest_rate=0, gain_face=2, gain_whole=2, gain_over_source=2)
    assert failed(told, limits) == {"share_outline"}
    assert told.swap.share_outline.value == 0.0


def test_a_touched_background_fails_that_alone(world: Scene, judge: Knows) -> None:
    told = report(inside(world.background, world.truth * 0.9, world.truth), world, judge)
    assert failed(told) == {"background"}


def test_another_face_fails_the_gains_in_the_face(world: Scene, judge: Knows) -> None:
    told = report(inside(world.face, world.target, world.truth), world, judge)
    assert {"gain_face", "gain_over_source"} <= failed(told)
    assert "background" not in failed(told)


@pytest.mark.parametrize("name", ["nearest_rate", "nearest_rate_other"])
def test_each_judge_has_a_criterion_of_its_own(world: Scene, judge: Knows, name: str) -> None:
    judges = (confused_judge(), judge) if name == "nearest_rate" else (judge, confused_judge())
    told = report(world.truth, world, judges[0], further_judges={"other": judges[1]})
    assert failed(told) == {name}


def test_halfway_is_worth_six_decibels_and_half_the_outline(world: Scene, judge: Knows) -> None:
    told = report((world.target + world.truth) / 2, world, judge)
    values = {criterion.name: criterion.value for criterion in told.criteria()}
    assert (values["gain_face"], values["gain_whole"]) == pytest.approx((6.0206, 6.0206), abs=1e-3)
    assert values["share_outline"] == pytest.approx(0.5, abs=1e-5)
    three = {"gain_face", "gain_whole", "share_outline"}
    assert three <= failed(told, Thresholds(gain_face=6.1, gain_whole=6.1, share_outline=0.51))
    assert not three & failed(told, Thresholds(gain_face=6.0, gain_whole=6.0, share_outline=0.49))


def test_gain_over_the_source_is_against_its_copy(world: Scene, judge: Knows) -> None:
    halfway = report((world.source + world.truth) / 2, world, judge)
    found = {criterion.name: criterion for criterion in halfway.criteria()}["gain_over_source"]
    assert found.value == pytest.approx(6.0206, abs=1e-3)
    assert found.error == pytest.approx(0.0, abs=1e-3)


def test_shares_come_with_their_error(world: Scene, judge: Knows) -> None:
    told = report(inside(world.head, blurred(world.truth), world.truth), world, judge)
    by_name = {criterion.name: criterion for criterion in told.criteria()}
    assert by_name["sharpness"].error == told.swap.sharpness.error > 0
    assert by_name["share_outline"].error == told.swap.share_outline.error > 0


def test_without_a_further_judge_there_is_no_criterion_of_one(world: Scene, judge: Knows) -> None:
    names = [criterion.name for criterion in report(world.truth, world, judge).criteria()]
    assert names == [name for name in NAMES if name != "nearest_rate_other"]


def test_people_of_one_colouring_have_criteria_of_their_own() -> None:
    world, judge = scene("same"), knowing_judge("same")
    perfect = report(world.truth, world, judge, "same")
    assert failed(perfect, ALIKE) == set()
    copied = report(world.target, world, judge, "same")
    assert failed(copied, ALIKE) == {"nearest_rate", "gain_face", "share_outline"}
    assert perfect.to_dict(ALIKE)["passed"] is perfect.passed(AlikeThresholds()) is True
    assert set(perfect.to_dict(ALIKE)["criteria"]) == failed(copied, ALIKE)


def _judged(swap: list[int], truth: list[int], judge_errors: float = 1) -> Criterion:
    """The criterion of the judge where it finds these swaps and true swaps nearer to their source."""

    def likeness(nearer: list[int]) -> Likeness:
        return Likeness(torch.tensor(nearer).double(), torch.full((len(nearer),), 0.5).double())

    world, judge = scene(), knowing_judge()
    told = report(world.truth, world, judge)
    index = [n % PAIRS for n in range(len(swap))]
    part = told.select(index)
    changed = dataclasses.replace(
        part,
        swap=dataclasses.replace(part.swap, likeness=likeness(swap)),
        true_swap=dataclasses.replace(part.true_swap, likeness=likeness(truth)),
    )
    criteria = changed.criteria(dataclasses.replace(ALIKE, judge_errors=judge_errors))
    return next(criterion for criterion in criteria if criterion.name == "nearest_rate")


def test_the_judge_must_place_swaps_as_often_as_true_swaps() -> None:
    # 2 of 4 against 3 of 4; differences −1, 0, 0, 0 have the standard error 0.5 / √4.
    found = _judged([1, 1, 0, 0], [1, 1, 1, 0])
    assert (found.value, found.limit) == (0.5, 0.75 - 0.25)
    assert found.passed
    assert not _judged([1, 1, 0, 0], [1, 1, 1, 0], judge_errors=0.9).passed
    assert not _judged([0, 1, 0, 0], [1, 1, 1, 0]).passed  # −1, 0, −1, 0: 0.289
    assert _judged([1, 1, 1, 1], [0, 1, 0, 0]).passed


def test_a_judge_that_places_no_true_swap_asks_for_nothing() -> None:
    assert _judged([0, 0, 0], [0, 0, 0]).passed


def test_one_pair_shows_nothing_by_a_rate() -> None:
    found = _judged([1], [1])
    assert math.isnan(found.limit)
    assert not found.passed


def test_thresholds_can_be_set(world: Scene, judge: Knows) -> None:
    told = report(world.target, world, judge)
    easy = Thresholds(
        nearest_rate=0, gain_face=0, gain_whole=0, gain_over_source=-30, background=20, share_outline=0, sharpness=0.1
    )
    assert told.passed(easy)
    assert not told.passed(dataclasses.replace(easy, gain_whole=0.1))


def test_rates_and_sharpness_are_shares() -> None:
    with pytest.raises(ConfigError, match="nearest_rate"):
        Thresholds(nearest_rate=95.0)
    with pytest.raises(ConfigError, match="further_rate"):
        Thresholds(further_rate=-0.1)
    with pytest.raises(ConfigError, match="sharpness"):
        Thresholds(sharpness=1.2)
    with pytest.raises(ConfigError, match="judge_errors"):
        AlikeThresholds(judge_errors=-1)
