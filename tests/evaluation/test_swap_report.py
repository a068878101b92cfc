from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from evaluation.planted import PAIRS, SIZE, Knows, Recites, confused_judge, knowing_judge, pairs, report, scene

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import Scene, Thresholds, swap_report, weights_fingerprint
from smoothswap.evaluation.fidelity import CEILING


@pytest.fixture(scope="module")
def world() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def judge() -> Knows:
    return knowing_judge()


def test_the_true_swap_gets_everything(world: Scene, judge: Knows) -> None:
    told = report(world.truth, world, judge)
    figures = told.swap.figures()
    assert figures == told.true_swap.figures()
    assert figures["nearest_rate"] == 1.0
    assert figures["to_source"] == pytest.approx(1.0)
    assert figures["psnr_whole"] == figures["psnr_face"] == pytest.approx(CEILING)
    assert figures["share_face"] == pytest.approx(1.0)
    assert figures["share_outline"] == pytest.approx(1.0)
    assert figures["psnr_background"] > 50
    assert (told.gain_face > 20).all()
    assert (told.gain_whole > 20).all()
    assert figures["sharpness"] == 1.0
    assert told.passed()
    assert told.warnings == ()


def test_copying_the_target_swaps_nobody(world: Scene, judge: Knows) -> None:
    told = report(world.target, world, judge)
    figures = told.swap.figures()
    assert figures["nearest_rate"] == 0.0
    assert figures["to_target"] == pytest.approx(1.0)
    assert told.gain_whole.tolist() == [0.0] * PAIRS
    assert told.gain_face.tolist() == [0.0] * PAIRS
    assert figures["share_face"] == figures["share_outline"] == 0.0
    assert figures["psnr_background"] == pytest.approx(CEILING)
    assert not told.passed()


def test_copying_the_source_is_the_right_person_in_the_wrong_picture(world: Scene, judge: Knows) -> None:
    told = report(world.source, world, judge)
    assert told.swap.figures()["nearest_rate"] == 1.0
    assert told.gain_over_source.tolist() == [0.0] * PAIRS
    assert told.swap.figures()["psnr_background"] < 25
    assert not told.passed()


def test_half_the_change_is_half_the_share(world: Scene, judge: Knows) -> None:
    told = report((world.target + world.truth) / 2, world, judge)
    assert told.swap.share_face.value == pytest.approx(0.5, abs=1e-5)
    assert told.swap.share_outline.value == pytest.approx(0.5, abs=1e-5)
    assert told.gain_whole.tolist() == pytest.approx([6.0206] * PAIRS, abs=1e-3)


def test_pictures_beyond_white_are_judged_as_a_file_would_hold_them(world: Scene, judge: Knows) -> None:
    beyond = torch.where(world.truth > 0.5, world.truth + 3, world.truth)
    inside = report(beyond.clamp(-1, 1), world, judge)
    assert report(beyond, world, judge).swap.figures() == inside.swap.figures()


def test_regions_are_where_they_should_be(world: Scene) -> None:
    change = (world.truth - world.target).abs().amax(dim=1, keepdim=True)
    assert change[world.background > 0.5].max() < 0.02  # neither head reaches there
    assert (world.background * world.face).sum() == 0
    assert change[world.outline > 0.5].mean() > change[world.background > 0.5].mean() + 0.05
    assert (world.face.flatten(1).mean(dim=1) > 0.1).all()
    assert (world.outline.flatten(1).sum(dim=1) > 0).all()


def test_the_three_planted_columns_do_not_depend_on_the_model(world: Scene, judge: Knows) -> None:
    one, other = report(world.truth, world, judge), report(world.target, world, judge)
    assert one.copy_target.figures() == other.copy_target.figures() == other.swap.figures()
    assert one.copy_source.figures() == other.copy_source.figures()
    assert one.copy_source.figures()["nearest_rate"] == 1.0
    assert [row.cells[1:] for row in one.rows()] == [row.cells[1:] for row in other.rows()]


def test_rows_are_readable(world: Scene, judge: Knows) -> None:
    rows = {row.figure: row.cells for row in report(world.truth, world, judge).rows()}
    assert rows["nearer to the source"] == ("100.0 %", "0.0 %", "100.0 %", "100.0 %")
    assert rows["PSNR to the true swap, face"][0] == "exact"
    assert rows["PSNR to the true swap, face"][1].endswith(" dB")
    assert rows["share of the true change, face"][1] == "0.0 %"
    assert (rows["sharpness, head"][0], rows["sharpness, head"][3]) == ("100.0 %", "100.0 %")


def test_batches_change_nothing(world: Scene, judge: Knows) -> None:
    seen: list[int] = []
    whole = report(world.truth, world, judge, batch_size=PAIRS)
    parts = report(world.truth, world, judge, batch_size=4, watch=lambda scene, swapped: seen.append(len(swapped)))
    assert seen == [4, PAIRS - 4]
    assert parts.copy_target.figures() == pytest.approx(whole.copy_target.figures(), rel=1e-5)


def test_a_part_of_the_report_is_the_report_on_a_part(world: Scene, judge: Knows) -> None:
    told = report(world.source, world, judge)
    part = told.select([0, 2])
    assert len(part) == 2
    assert part.gain_face.tolist() == told.gain_face[[0, 2]].tolist()
    assert part.swap.share_face.value != told.swap.share_face.value
    assert part.swap.sharpness.part.tolist() == told.swap.sharpness.part[[0, 2]].tolist()


def test_a_judge_that_trained_the_generator_is_called_out(world: Scene, judge: Knows) -> None:
    told = swap_report(Recites(world.target, world.truth), judge, judge, *pairs(), supersample=1)
    assert not told.protocol.judge_is_independent
    assert "the embedder that trained the generator" in told.warnings[0]


def test_a_blind_judge_is_called_out(world: Scene) -> None:
    blind = Knows(world.source, torch.ones(PAIRS, 2))
    told = report(world.truth, world, blind)
    assert "only 0.0 % of the true swaps" in told.warnings[0]
    assert not told.passed()


def test_models_are_left_as_they_were(world: Scene, judge: Knows) -> None:
    generator = Recites(world.target, world.truth)
    generator.add_module("frozen", torch.nn.BatchNorm2d(3).eval())
    generator.training = True
    swap_report(generator, judge, judge, *pairs(), supersample=1)
    assert generator.training
    assert not generator.frozen.training


def test_the_protocol_is_stored_with_the_figures(world: Scene, judge: Knows, tmp_path: Path) -> None:
    told = report(world.target, world, judge, split="held-out people", seed=1)
    stored = json.loads(told.save(tmp_path / "report.json").read_text())
    assert stored["protocol"] == told.protocol.to_dict()
    assert stored["protocol"]["judge"] == "Knows"
    assert (stored["protocol"]["pairs"], stored["protocol"]["size"]) == (PAIRS, SIZE)
    assert (stored["protocol"]["split"], stored["protocol"]["seed"]) == ("held-out people", 1)
    assert stored["passed"] is False
    limit = Thresholds().gain_face
    expected = {"value": 0.0, "standard_error": 0.0, "limit": limit, "upper_limit": None, "passed": False}
    assert stored["criteria"]["gain_face"] == expected
    assert len(stored["pairs"]) == PAIRS
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_further_judge_is_told_apart_from_the_judge(world: Scene, judge: Knows) -> None:
    told = report(world.truth, world, judge, further_judges={"other": confused_judge()})
    figures = told.swap.figures()
    assert (figures["nearest_rate"], figures["nearest_rate_other"]) == (1.0, 0.0)
    assert (figures["to_source"], figures["to_target_other"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert told.copy_source.figures()["nearest_rate_other"] == 1.0
    row = next(row for row in told.rows() if row.figure == "nearer to the source, by other")
    assert row.cells == ("0.0 %", "0.0 %", "100.0 %", "0.0 %")
    assert told.warnings[0].startswith("the judge other finds only 0.0 % of the true swaps")
    assert told.select([1]).swap.further["other"].nearer.tolist() == [0.0]


def test_further_judges_are_part_of_the_protocol(world: Scene, judge: Knows, tmp_path: Path) -> None:
    other = confused_judge()
    told = report(world.target, world, judge, further_judges={"other": other}, batch_size=4)
    stored = json.loads(told.save(tmp_path / "report.json").read_text())
    assert stored["protocol"]["further_judges_weights_fingerprint"] == {"other": weights_fingerprint(other)}
    assert stored["criteria"]["nearest_rate_other"]["passed"] is False
    assert stored["figures"]["true_swap"]["nearest_rate_other"] == 0.0
    assert stored["pairs"][0]["to_target_other"] == 1.0
    assert "further_judges_weights_fingerprint" in told.protocol.differences(
        report(world.target, world, judge).protocol
    )


def test_the_same_judge_twice_is_no_second_opinion(world: Scene, judge: Knows) -> None:
    told = report(world.truth, world, judge, further_judges={"again": judge})
    assert "no second opinion" in told.warnings[0]


def test_a_further_judge_that_trained_the_generator_is_called_out(world: Scene, judge: Knows) -> None:
    generator, embedder = Recites(world.target, world.truth), confused_judge()
    told = swap_report(generator, embedder, judge, *pairs(), supersample=1, further_judges={"other": embedder})
    assert "the judge (other, " in told.warnings[0]
    assert "the embedder that trained the generator" in told.warnings[0]


def test_pairs_must_go_together(world: Scene, judge: Knows) -> None:
    source, target = pairs()
    generator = Recites(world.target, world.truth)
    with pytest.raises(ArgumentError, match="6 and 5"):
        swap_report(generator, judge, judge, source, target.select(range(5)))
    with pytest.raises(ArgumentError, match="0 and 0"):
        swap_report(generator, judge, judge, source.select([]), target.select([]))
    with pytest.raises(ArgumentError, match="batch_size"):
        swap_report(generator, judge, judge, source, target, 0)
