"""A run that starts from a model's weights: what is taken, what is named, what is refused, what is recorded."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training.tiny import SIZE

import smoothswap
from smoothswap.core.errors import CheckpointError, ConfigError, InputError
from smoothswap.modules import weights
from smoothswap.training import EmbedderRecipe, Part, train_embedder
from smoothswap.training.checkpoint import LAST, read_checkpoint
from smoothswap.training.embedder import EmbedderWork
from smoothswap.training.loop import Loop
from smoothswap.training.start_from import keep_start, kept_start, no_start, resolve_start, start_weights

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
OPTIONS: dict[str, Any] = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "hidden": 16}
UNET: dict[str, Any] = {
    "image_size": SIZE,
    "base_channels": 8,
    "channel_multipliers": (1, 1),
    "blocks_per_level": 1,
    "attention_resolutions": (),
}


def embedder(**changes: Any) -> nn.Module:
    return smoothswap.build("small_resnet", **{"input_size": SIZE, **OPTIONS, **changes})


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """An embedder whose every weight is a number that no fresh one has."""
    model = embedder()
    with torch.no_grad():
        for number, value in enumerate(model.state_dict().values()):
            value.fill_(number + 7)
    return smoothswap.save(model, tmp_path / "model" / "embedder.safetensors")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()


def test_the_embedder_and_its_average_start_from_it(
    tmp_path: Path, trained: Path, embedder_recipe: Callable[..., EmbedderRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def step(self: EmbedderWork, images: int) -> Any:
        if images == 0:
            seen.extend(copy.deepcopy(module.state_dict()) for module in (self.embedder, self.ema.module))
            assert not self.optimizer.state
        return original(self, images)

    original = EmbedderWork.step
    monkeypatch.setattr(EmbedderWork, "step", step)
    run = tmp_path / "run"
    train_embedder(embedder_recipe(images=8), run, start_from=trained.parent, **CPU)
    _, state = weights.read(trained)
    for module in seen:
        assert all(torch.equal(module[key], state[key]) for key in state)
    digest = hashlib.sha256(trained.read_bytes()).hexdigest()
    record = {"embedder": {"file": "embedder.safetensors", "file_sha256": digest}}
    assert weights.read(run / "embedder.safetensors")[0]["notes"]["started_from"] == record
    # The record outlives a resumption, which does not start from the model again.
    train_embedder(embedder_recipe(images=16), run, resume=True, **CPU)
    assert len(seen) == 2
    assert weights.read(run / "embedder.safetensors")[0]["notes"]["started_from"] == record
    # And from that run another one starts.
    train_embedder(embedder_recipe(images=8), tmp_path / "next", start_from=run, **CPU)
    taken = kept_start(tmp_path / "next")["embedder"]["file_sha256"]
    assert taken == hashlib.sha256((run / "embedder.safetensors").read_bytes()).hexdigest()


def test_without_a_start_nothing_is_recorded(tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe]) -> None:
    (tmp_path / "run").mkdir()
    keep_start({"embedder": Path(__file__)}, tmp_path / "run")  # of a run that ended before it began
    train_embedder(embedder_recipe(images=8), tmp_path / "run", **CPU)
    assert "started_from" not in weights.read(tmp_path / "run" / "embedder.safetensors")[0]["notes"]
    assert kept_start(tmp_path / "run") == {}


def test_the_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "started_from.json").write_text('{"generator": {"file": "g", "sha256": "ab"}}', encoding="utf-8")
    assert kept_start(tmp_path) == {"generator": {"file": "g", "file_sha256": "ab"}}


def test_what_does_not_fit_is_named_and_stays_as_it_was(tmp_path: Path, trained: Path) -> None:
    model = embedder(dim=4, head="linear")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    said = start_weights(model, trained, what="embedder")
    _, state = weights.read(trained)
    after = model.state_dict()
    fitting = {key for key in after if key in state and state[key].shape == after[key].shape}
    assert 0 < len(fitting) < len(after)
    for key in after:
        assert torch.equal(after[key], state[key] if key in fitting else before[key]), key
    assert said[0] == f"the embedder starts from embedder.safetensors: {len(fitting)} of its {len(after)} tensors fit"
    text = "\n".join(said[1:])
    named = [key for key in after if key not in fitting]
    assert all(key in text for key in named)
    other = next(key for key in named if key in state)
    assert f"{other} {tuple(state[other].shape)} in the file, {tuple(after[other].shape)} in the model" in text
    alone = [key for key in state if key not in after]
    assert f"{len(alone)} in the file only: {'; '.join(alone)}" in text
    assert len(start_weights(embedder(), trained, what="embedder")) == 1


def test_half_precision_becomes_the_models_own(tmp_path: Path, trained: Path) -> None:
    half = weights.save(smoothswap.load(trained), tmp_path / "half.safetensors", dtype=torch.float16)
    model = embedder()
    start_weights(model, half, what="embedder")
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert torch.equal(next(model.parameters()), next(smoothswap.load(trained).parameters()))


def test_nothing_fits_and_what_to_type(trained: Path) -> None:
    with pytest.raises(ConfigError, match="no weight of .*embedder.safetensors' fits the embedder") as error:
        start_weights(embedder(widths=(6, 10), flat_channels=5, dim=3, hidden=7), trained, what="embedder")
    text = str(error.value)
    assert "stem.0.weight (8, 3, 5, 5) in the file, (6, 3, 5, 5) in the model" in text
    assert len(error.value.facts) == 4
    assert text.endswith(
        "build the embedder as that model was: --set embedder.dim=8 --set embedder.widths=8,8 "
        "--set embedder.flat_channels=4 --set embedder.hidden=16"
    )


def test_what_to_type_makes_the_model_of_another_component(tmp_path: Path, trained: Path) -> None:
    from smoothswap.training.overrides import apply_overrides

    other = smoothswap.build("smooth_resnet50")
    with pytest.raises(ConfigError, match="no weight of") as error:
        start_weights(other, trained, what="embedder")
    words = error.value.hint.split(": ", 1)[1].split(" --set ")
    changes = dict(word.removeprefix("--set ").split("=", 1) for word in words)
    recipe = apply_overrides(EmbedderRecipe(embedder=Part("smooth_resnet50")), changes)
    assert recipe.embedder.name == "small_resnet"
    model = smoothswap.build("small_resnet", **{"input_size": recipe.image_size, **recipe.embedder.options})
    assert len(start_weights(model, trained, what="embedder")) == 1  # everything fits


def test_another_kind_is_refused(tmp_path: Path, trained: Path) -> None:
    unet = smoothswap.build("smooth_unet", **UNET)
    with pytest.raises(
        ConfigError, match=r"holds no generator to start from(?s:.*)it holds the embedder 'small_resnet'"
    ):
        start_weights(unet, trained, what="generator")


def test_which_file_it_is(tmp_path: Path, trained: Path, embedder_recipe: Callable[..., EmbedderRecipe]) -> None:
    folder = trained.parent
    generator = smoothswap.save(smoothswap.build("smooth_unet", **UNET), folder / "generator.safetensors")
    assert resolve_start(folder, "embedder") == trained
    assert resolve_start(str(folder), "generator") == generator
    assert resolve_start(folder, "discriminator") is None
    assert resolve_start(trained, "embedder") == trained
    assert resolve_start(trained, "generator") is None
    assert "models in the folder: embedder.safetensors, generator.safetensors" in str(no_start(folder, "discriminator"))
    with pytest.raises(InputError, match="no model 'nowhere' to start from"):
        resolve_start("nowhere", "embedder")
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        resolve_start(tmp_path / "x.safetensors", "embedder")
    with pytest.raises(ConfigError, match="holds no embedder to start from"):
        train_embedder(embedder_recipe(), tmp_path / "run", start_from=generator, **CPU)
    with pytest.raises(ConfigError, match="a resumed run has its own weights, it cannot start from"):
        train_embedder(None, tmp_path / "run", start_from=trained, resume=True, **CPU)
    assert not (tmp_path / "run").exists()


def test_a_run_that_ended_before_its_first_checkpoint_does_not_go_on_from_nothing(
    tmp_path: Path, trained: Path, embedder_recipe: Callable[..., EmbedderRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_embedder(embedder_recipe(), tmp_path / "run", start_from=trained, **CPU)
    with pytest.raises(CheckpointError, match=r"before its first checkpoint(?s:.*)--start-from"):
        train_embedder(None, tmp_path / "run", resume=True, **CPU)
    assert not (tmp_path / "run" / LAST).exists()


def test_a_start_counts_its_own_images(
    tmp_path: Path, trained: Path, embedder_recipe: Callable[..., EmbedderRecipe]
) -> None:
    result = train_embedder(embedder_recipe(images=16), tmp_path / "run", start_from=trained, **CPU)
    assert result.images == read_checkpoint(tmp_path / "run" / LAST)["images"] == 16


@pytest.mark.parametrize("text", ["", "[]", '{"embedder": {}}', '{"embedder": 1}'])
def test_a_damaged_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "started_from.json").write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read"):
        kept_start(tmp_path)
