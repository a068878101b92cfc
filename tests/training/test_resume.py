"""A resumed training is the uninterrupted one, bit for bit: weights, averages, optimisers."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training.tiny import KNOWN, TRUE_SWAPS

from smoothswap.core.errors import CheckpointError, ConfigError, InputError
from smoothswap.training import (
    DataShare,
    EmbedderRecipe,
    LossTerm,
    SwapperRecipe,
    recipe_of_run,
    train_embedder,
    train_swapper,
)
from smoothswap.training.checkpoint import LAST, PREVIOUS, load_checkpoint, read_checkpoint, save_checkpoint
from smoothswap.training.embedder import EmbedderWork
from smoothswap.training.loop import Loop

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}


def same(a: Any, b: Any, path: str = "") -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{path}/{index}")
    else:
        assert a == b, path


def stop_at(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Press Ctrl-C once, during the step that ends at `images`."""
    original = Loop._step

    def step(self: Loop) -> None:
        original(self)
        if self.images == images:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Loop, "_step", step)


@pytest.mark.parametrize("loss", ["supcon", "arcface", "supcon_attributes"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_embedder_ten_steps_are_five_and_five(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    embedder_recipe: Callable[..., EmbedderRecipe],
    loss: str,
    optimizer: str,
) -> None:
    part = dataclasses.replace(embedder_recipe().loss, name=loss)
    recipe = embedder_recipe(loss=part, optimizer=optimizer, data=KNOWN)
    train_embedder(recipe, tmp_path / "whole", **CPU)
    with monkeypatch.context() as patch:
        stop_at(patch, 40)
        half = train_embedder(recipe, tmp_path / "parts", **CPU)
    assert (half.images, half.finished) == (40, False)
    rest = train_embedder(None, tmp_path / "parts", resume=True, **CPU)
    assert (rest.images, rest.finished) == (80, True)
    whole, parts = (read_checkpoint(tmp_path / name / LAST)["work"] for name in ("whole", "parts"))
    same(whole, parts)
    own = {"arcface": {"weight"}, "supcon_attributes": {"readout.weight", "readout.bias"}}
    assert whole["loss"].keys() == own.get(loss, set())


def test_swapper_ten_steps_are_five_and_five(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    swapper_recipe: Callable[..., SwapperRecipe],
    embedder_file: Path,
) -> None:
    # λ_chg rises on the way, over the cut.
    losses = {
        "adversarial": LossTerm("adversarial"),
        "identity": LossTerm("identity", weight=4.0),
        "change": LossTerm("change", weight=2.0, weight_before=0.25, changes_at=8, changes_over=24),
    }
    recipe = swapper_recipe(losses=losses, channels_last=True, clip_gradients=1.0)
    train_swapper(recipe, tmp_path / "whole", embedder=embedder_file, **CPU)
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        train_swapper(recipe, tmp_path / "parts", embedder=embedder_file, **CPU)
    train_swapper(None, tmp_path / "parts", resume=True, **CPU)
    whole, parts = (read_checkpoint(tmp_path / name / LAST)["work"] for name in ("whole", "parts"))
    # The cut adds a line to the log, and with it one more value to the panel's smoothing; nothing else may differ.
    whole.pop("health"), parts.pop("health")
    same(whole, parts)


def test_a_mix_with_a_late_discriminator_is_five_and_five(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    swapper_recipe: Callable[..., SwapperRecipe],
    embedder_file: Path,
) -> None:
    losses = {
        "truth": LossTerm("truth", {"edges": 1.0}, weight=10.0),
        "adversarial": LossTerm("adversarial", changes_at=24),  # after the cut
    }
    recipe = swapper_recipe(
        losses=losses, mix={"true": DataShare(TRUE_SWAPS.name, share=0.5)}, accumulate=2, self_pairs=0
    )
    train_swapper(recipe, tmp_path / "whole", embedder=embedder_file, **CPU)
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        train_swapper(recipe, tmp_path / "parts", embedder=embedder_file, **CPU)
    train_swapper(None, tmp_path / "parts", resume=True, **CPU)
    whole, parts = (read_checkpoint(tmp_path / name / LAST)["work"] for name in ("whole", "parts"))
    assert whole["data"].keys() == {"", "true"}
    whole.pop("health"), parts.pop("health")
    same(whole, parts)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_muon_s_momentum_comes_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    embedder_recipe: Callable[..., EmbedderRecipe],
    swapper_recipe: Callable[..., SwapperRecipe],
    embedder_file: Path,
    precision: str,
) -> None:
    embedder, generator = embedder_recipe().embedder, swapper_recipe().generator  # both with sides of 32
    embedder = dataclasses.replace(embedder, options={**embedder.options, "widths": (32, 32)})
    generator = dataclasses.replace(generator, options={**generator.options, "base_channels": 32})
    of_embedder = embedder_recipe(embedder=embedder, optimizer="muon", images=40)
    of_swapper = swapper_recipe(generator=generator, optimizer="muon", channels_last=True)
    cpu = {**CPU, "precision": precision}

    def train(name: str, *, resume: bool = False) -> list[dict[str, Any]]:
        out = [tmp_path / name / kind for kind in ("embedder", "swapper")]
        train_embedder(None if resume else of_embedder, out[0], resume=resume, **cpu)
        train_swapper(None if resume else of_swapper, out[1], resume=resume, embedder=embedder_file, **cpu)
        return [read_checkpoint(folder / LAST)["work"] for folder in out]

    whole = train("whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 24)
        train("parts")
    parts = train("parts", resume=True)
    for a, b, optimizer in zip(whole, parts, ("optimizer", "generator_optimizer"), strict=True):
        assert any("momentum" in slots for slots in a[optimizer]["state"].values())
        a.pop("health", None), b.pop("health", None)
        same(a, b)


def test_two_runs_of_one_recipe_are_equal_and_another_seed_is_not(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe]
) -> None:
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_embedder(embedder_recipe(seed=seed, images=24), tmp_path / name, **CPU)
        states.append(read_checkpoint(tmp_path / name / LAST)["work"]["embedder"])
    same(states[0], states[1])
    assert not torch.equal(*(next(iter(states[i].values())) for i in (0, 2)))


def test_a_kill_in_the_middle_of_a_save_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder_recipe: Callable[..., EmbedderRecipe]
) -> None:
    recipe = embedder_recipe(checkpoint_every=16)
    train_embedder(recipe, tmp_path / "whole", **CPU)

    class KilledError(BaseException):
        pass

    def die(self: EmbedderWork, folder: Path, notes: object) -> Path:
        # As kill -9 would leave it: an unfinished file aside, and the newest name gone.
        (folder / LAST).rename(folder / PREVIOUS)
        (folder / ".checkpoint-last.0000.safetensors").write_bytes(b"half a file")
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(EmbedderWork, "save_weights", die)
        with pytest.raises(KilledError):
            train_embedder(recipe, tmp_path / "parts", **CPU)
    train_embedder(None, tmp_path / "parts", resume=True, **CPU)
    whole, parts = (read_checkpoint(tmp_path / name / LAST)["work"] for name in ("whole", "parts"))
    same(whole, parts)


def test_a_corrupt_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = embedder_recipe(checkpoint_every=16)
    train_embedder(recipe, tmp_path / "run", **CPU)
    good = read_checkpoint(tmp_path / "run" / LAST)
    assert read_checkpoint(tmp_path / "run" / PREVIOUS)["images"] == 64
    data = (tmp_path / "run" / LAST).read_bytes()
    (tmp_path / "run" / LAST).write_bytes(data[: len(data) // 2])
    result = train_embedder(None, tmp_path / "run", resume=True, accelerator="cpu", progress=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "damaged or incomplete" in said
    assert "64 images" in said
    assert result.images == 80
    same(good["work"], read_checkpoint(tmp_path / "run" / LAST)["work"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if "resumed_at" not in line] == [16, 32, 48, 64, 80]


def test_resuming_with_another_recipe_names_what_differs(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe]
) -> None:
    train_embedder(embedder_recipe(images=8), tmp_path / "run", **CPU)
    with pytest.raises(ConfigError, match="weight_decay: 0.0001 in the run, 0.5 now"):
        train_embedder(embedder_recipe(images=8, weight_decay=0.5), tmp_path / "run", resume=True, **CPU)
    longer = train_embedder(embedder_recipe(images=24), tmp_path / "run", resume=True, **CPU)
    assert longer.images == 24


def test_a_run_may_go_on_with_other_weights_and_says_so(
    tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path
) -> None:
    run = tmp_path / "run"
    train_swapper(swapper_recipe(images=8), run, embedder=embedder_file, **CPU)
    longer = recipe_of_run(run, {"images": "16", "losses.change.weight": "7"})
    train_swapper(longer, run, resume=True, **CPU)
    assert recipe_of_run(run) == longer
    told = [json.loads(line) for line in (run / "train.jsonl").read_text().splitlines()]
    (changed,) = [line["resumed_with"] for line in told if "resumed_with" in line]
    assert changed["images"] == [8, 16]
    assert [losses["change"]["weight"] for losses in changed["losses"]] == [1.0, 7.0]
    train_swapper(None, run, resume=True, **CPU)  # the log with such a line can be read again


def test_a_second_run_in_one_folder_is_refused(tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe]) -> None:
    train_embedder(embedder_recipe(images=8), tmp_path / "run", **CPU)
    with pytest.raises(ConfigError, match="already holds a run") as error:
        train_embedder(embedder_recipe(images=8), tmp_path / "run", **CPU)
    assert "--resume" in str(error.value)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run to resume"):
        train_embedder(None, tmp_path / "run", resume=True, **CPU)


def test_another_second_embedder_cannot_either(
    tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path
) -> None:
    """Of the same name in another folder, as every training calls its embedder."""
    import smoothswap

    second = tmp_path / "second" / "embedder.safetensors"
    other = tmp_path / "other" / "embedder.safetensors"
    for file in (second, other):
        file.parent.mkdir()
    model = smoothswap.load(embedder_file)
    smoothswap.save(model, second)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    smoothswap.save(model, other)
    recipe = swapper_recipe(images=4, identity_embedders=(str(second),))
    train_swapper(recipe, tmp_path / "run", embedder=embedder_file, **CPU)
    longer = dataclasses.replace(recipe, images=8)
    with pytest.raises(CheckpointError, match="other identity_embedders"):
        changed = dataclasses.replace(longer, identity_embedders=(str(other),))
        train_swapper(changed, tmp_path / "run", resume=True, **CPU)
    assert train_swapper(longer, tmp_path / "run", resume=True, **CPU).images == 8


def test_a_checkpoint_of_an_earlier_version_knows_its_embedders(
    tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path
) -> None:
    import smoothswap

    judge, run = tmp_path / "judge.safetensors", tmp_path / "run"
    smoothswap.save(smoothswap.load(embedder_file), judge)
    recipe = swapper_recipe(images=4, identity_embedders=(str(judge),))
    train_swapper(recipe, run, embedder=embedder_file, **CPU)
    state, _ = load_checkpoint(run)
    work = state["work"]
    work["embedder_hash"] = work.pop("embedder_file_sha256")
    work["judge_hashes"] = work.pop("identity_embedders_file_sha256")
    save_checkpoint(state, run)
    model = smoothswap.load(judge)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    (tmp_path / "other").mkdir()
    smoothswap.save(model, tmp_path / "other" / judge.name)
    longer = dataclasses.replace(recipe, images=8)
    other = dataclasses.replace(longer, identity_embedders=(str(tmp_path / "other" / judge.name),))
    with pytest.raises(CheckpointError, match=r"other identity_embedders[\s\S]*file_sha256 then"):
        train_swapper(other, run, resume=True, **CPU)
    with pytest.raises(CheckpointError, match=r"another embedder\n *file_sha256"):
        train_swapper(longer, run, embedder=tmp_path / "other" / judge.name, resume=True, **CPU)
    assert train_swapper(longer, run, resume=True, **CPU).images == 8


def test_another_embedder_cannot_take_over_a_run(
    tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path
) -> None:
    import smoothswap

    train_swapper(swapper_recipe(images=4), tmp_path / "run", embedder=embedder_file, **CPU)
    other = smoothswap.load(embedder_file)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    smoothswap.save(other, tmp_path / "g.safetensors")
    with pytest.raises(CheckpointError, match="another embedder"):
        train_swapper(
            swapper_recipe(images=8), tmp_path / "run", embedder=tmp_path / "g.safetensors", resume=True, **CPU
        )
    assert (tmp_path / "run" / "embedder.safetensors").read_bytes() == embedder_file.read_bytes()
    assert train_swapper(swapper_recipe(images=8), tmp_path / "run", resume=True, **CPU).images == 8
