"""The best validation: which one it is, when there have been enough, and that an interruption changes neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training.test_resume import same, stop_at
from training.tiny import DATA

import smoothswap
from smoothswap.core.errors import ConfigError
from smoothswap.modules import weights
from smoothswap.training import EmbedderRecipe, Part, recipe_of_run, train_embedder
from smoothswap.training.best import Best, monitored
from smoothswap.training.checkpoint import LAST, read_checkpoint
from smoothswap.training.validation import Validation

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
Make = Callable[..., EmbedderRecipe]


def planted(monkeypatch: pytest.MonkeyPatch, name: str, figures: dict[int, float]) -> None:
    """Let validations after so many images find these figures."""

    def measure(self: Validation, embedder: nn.Module, device: torch.device, after: int) -> dict[str, float]:
        return {name: figures[after], "auc": 0.5}

    monkeypatch.setattr(Validation, "measure", measure)


def test_offers() -> None:
    best, module = Best("d_smooth", 2), nn.Linear(1, 1)
    assert not best.enough
    assert best.offer({"d_smooth": 0.5, "auc": 0.1}, 10, module)
    with torch.no_grad():
        module.weight.add_(1)
    assert not best.offer({"d_smooth": 0.5, "auc": 0.9}, 20, module)  # as good is not better
    assert not best.enough
    assert best.offer({"d_smooth": 0.4}, 30, module)
    assert torch.equal(best.module.weight, module.weight)  # type: ignore[union-attr,arg-type]
    assert not best.offer({"auc": 1.0}, 40, module)  # not measured is not better either
    assert not best.offer({"d_smooth": 0.6}, 50, module)
    assert (best.enough, best.value, best.images, best.stale) == (True, 0.4, 30, 2)
    again = Best("d_smooth", 2)
    again.restore(best.state(), module)
    assert again.enough
    same(again.state()["weights"], best.state()["weights"])


@pytest.mark.parametrize(("monitor", "better"), [("auc", 1), ("d_smooth", -1)])
def test_the_last_bits_of_a_figure_make_it_no_better(monitor: str, better: int) -> None:
    best, module = Best(monitor, None), nn.Linear(1, 1)
    assert best.offer({monitor: 0.5}, 10, module)
    assert not best.offer({monitor: 0.5 + better * 1e-15}, 20, module)
    assert not best.offer({monitor: 0.5 - better * 1e-5}, 30, module)
    assert best.offer({monitor: 0.5 + better * 1e-5}, 40, module)
    assert best.images == 40


def test_the_rate_of_tar_need_not_be_named() -> None:
    assert monitored({"auc": 1.0, "tar_at_far_1e-2": 0.7}, "tar_at_far") == 0.7
    assert monitored({"auc_shape": 1.0}, "auc") is None


def test_best_and_last_are_both_written_and_an_early_stop_says_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder_recipe: Make
) -> None:
    planted(monkeypatch, "alignment", {16: 0.9, 32: 0.3, 48: 0.4, 64: 0.3, 80: 0.1})
    recipe = embedder_recipe(validation=DATA, validate_every=16, monitor="alignment", patience=2)
    result = train_embedder(recipe, tmp_path / "run", **CPU)
    assert (result.images, result.finished, result.stopped_early) == (64, True, True)
    assert result.best is not None
    assert (result.best.images, result.best.value, result.best.monitor) == (32, 0.3, "alignment")
    notes = weights.read(result.best.path)[0]["notes"]
    assert (notes["images"], notes["monitor"], notes["value"]) == (32, "alignment", 0.3)
    assert weights.read(result.path)[0]["notes"]["images"] == 64
    first = smoothswap.load(result.best.path).state_dict()
    assert any(not torch.equal(value, first[key]) for key, value in smoothswap.load(result.path).state_dict().items())

    # Taken up again it stays ended, and goes on only where patience is lifted.
    again = train_embedder(None, tmp_path / "run", resume=True, **CPU)
    assert (again.images, again.stopped_early) == (64, True)
    lifted = recipe_of_run(tmp_path / "run", {"patience": "none"})
    longer = train_embedder(lifted, tmp_path / "run", resume=True, **CPU)
    assert (longer.images, longer.stopped_early) == (80, False)
    assert longer.best is not None
    assert (longer.best.images, longer.best.value) == (80, 0.1)


def test_an_interruption_changes_neither_best_nor_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder_recipe: Make
) -> None:
    recipe = embedder_recipe(validation=DATA, validate_every=16, monitor="d_smooth", patience=9)
    whole = train_embedder(recipe, tmp_path / "whole", **CPU)
    with monkeypatch.context() as patch:
        stop_at(patch, 40)
        train_embedder(recipe, tmp_path / "parts", **CPU)
    parts = train_embedder(None, tmp_path / "parts", resume=True, **CPU)
    train_embedder(None, tmp_path / "parts", resume=True, **CPU)  # at the end nothing is measured a second time
    states = [read_checkpoint(tmp_path / name / LAST)["work"] for name in ("whole", "parts")]
    assert states[0]["best"]["value"] is not None
    same(*states)
    assert whole.best is not None
    assert parts.best is not None
    assert whole.best.value == parts.best.value
    best = [smoothswap.load(run.path).state_dict() for run in (whole.best, parts.best)]
    same(*map(dict, best))


def test_without_validation_there_is_no_best(tmp_path: Path, embedder_recipe: Make) -> None:
    result = train_embedder(embedder_recipe(images=8), tmp_path / "run", **CPU)
    assert result.best is None
    assert not (tmp_path / "run" / "embedder-best.safetensors").exists()
    with pytest.raises(ConfigError, match="patience cannot be 3 without validation"):
        embedder_recipe(patience=3)


def test_a_figure_that_the_data_does_not_give_is_refused_before_training(tmp_path: Path, embedder_recipe: Make) -> None:
    recipe = embedder_recipe(validation=Part("test_colours", {"people": 1}))
    with pytest.raises(ConfigError, match="no two people"):
        train_embedder(recipe, tmp_path / "run", **CPU)
    assert not (tmp_path / "run" / "recipe.json").exists()
