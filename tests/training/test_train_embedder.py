"""What a training of an embedder does and leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from training.tiny import DATA

import smoothswap
from smoothswap.core.errors import ConfigError, InputError, UnknownNameError, WorkError
from smoothswap.training import EmbedderRecipe, Part, load_recipe, train_embedder
from smoothswap.training.embedder import EmbedderWork

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
Make = Callable[..., EmbedderRecipe]


def test_artifacts(tmp_path: Path, embedder_recipe: Make) -> None:
    recipe = embedder_recipe(validation=DATA, images=24)
    result = train_embedder(recipe, tmp_path / "new" / "run", **CPU)
    folder = tmp_path / "new" / "run"
    assert result.path == folder / "embedder.safetensors"
    assert load_recipe(folder / "recipe.json") == recipe
    assert (folder / "checkpoint-last.safetensors").is_file()
    assert list((folder / "tensorboard").iterdir())
    assert not list(folder.glob(".*"))
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [16, 24, 24]
    assert set(lines[2]) == {
        "images", "auc", "auc_shape", "tar_at_far_1e-2", "knn_rank1", "alignment", "uniformity", "d_smooth",
        "interpolation_count",
    }  # fmt: skip
    assert not (folder / "broken.txt").exists()
    assert result.best is not None
    assert (result.best.path, result.best.images) == (folder / "embedder-best.safetensors", 24)
    for path in (result.path, result.best.path):
        z = smoothswap.load(path)(torch.zeros(2, 3, 16, 16))
        torch.testing.assert_close(z.norm(dim=1), torch.ones(2))


def test_it_learns_to_tell_colours_apart(tmp_path: Path, embedder_recipe: Make) -> None:
    recipe = embedder_recipe(validation=DATA, images=720, learning_rate=3e-3)
    assert train_embedder(recipe, tmp_path / "run", **CPU).metrics["auc"] > 0.9


def test_accumulated_parts_give_the_gradient_of_the_whole(embedder_recipe: Make) -> None:
    # Without BatchNorm in the way: the mean of a classification loss is the mean over its parts.
    gradients = []
    network = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "head": "linear"}
    for accumulate in (1, 2):
        recipe = embedder_recipe(
            loss=Part("softmax"), embedder=Part("small_resnet", network), accumulate=accumulate, optimizer="sgd"
        )
        work = EmbedderWork(recipe, Fabric(accelerator="cpu", devices=1))
        for module in work.embedder.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign,misc]
                module.training = False
        before = work.loss.state_dict()["weight"].clone()
        torch.manual_seed(0)
        work.step(16)
        gradients.append(work.loss.state_dict()["weight"] - before)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_every_weight_is_in_the_optimiser_once(embedder_recipe: Make) -> None:
    work = EmbedderWork(embedder_recipe(loss=Part("arcface")), Fabric(accelerator="cpu", devices=1))
    held = [id(weight) for group in work.optimizer.param_groups for weight in group["params"]]
    wanted = [id(weight) for module in (work.embedder, work.loss) for weight in module.parameters()]
    assert sorted(held) == sorted(wanted)
    assert all(weight.ndim > 1 for weight in work.optimizer.param_groups[0]["params"])
    assert work.optimizer.param_groups[1]["weight_decay"] == 0


def test_one_person_is_refused(tmp_path: Path, embedder_recipe: Make) -> None:
    with pytest.raises(InputError, match="holds 1 person"):
        train_embedder(embedder_recipe(data=Part("test_colours", {"people": 1})), tmp_path / "run", **CPU)


def test_more_people_than_there_are_is_refused(tmp_path: Path, embedder_recipe: Make) -> None:
    with pytest.raises(ConfigError, match="the data set holds 6 people"):
        train_embedder(embedder_recipe(people_per_batch=7), tmp_path / "run", **CPU)


def test_a_batch_that_does_not_split_is_refused(tmp_path: Path, embedder_recipe: Make) -> None:
    with pytest.raises(ConfigError, match="4 people a batch cannot be split into 1 processes × 3 parts"):
        train_embedder(embedder_recipe(accumulate=3), tmp_path / "run", **CPU)


def test_a_refused_run_leaves_no_run_behind(tmp_path: Path, embedder_recipe: Make) -> None:
    with pytest.raises(UnknownNameError, match="small_resnet"):
        train_embedder(embedder_recipe(embedder=Part("smal_resnet")), tmp_path / "run", **CPU)
    train_embedder(embedder_recipe(images=8), tmp_path / "run", **CPU)


def test_a_diverging_training_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder_recipe: Make
) -> None:
    original = EmbedderWork.step

    def step(self: EmbedderWork, images: int) -> dict[str, torch.Tensor]:
        values = original(self, images)
        return {"loss": values["loss"] * float("nan")} if images >= 48 else values

    monkeypatch.setattr(EmbedderWork, "step", step)
    with pytest.raises(WorkError, match="diverged after 64 images"):
        train_embedder(embedder_recipe(checkpoint_every=16), tmp_path / "run", **CPU)
    monkeypatch.undo()
    assert train_embedder(None, tmp_path / "run", resume=True, **CPU).images == 80


@pytest.mark.parametrize(("options", "text"), [({"precision": "16"}, "precision"), ({"devices": 0}, "devices")])
def test_a_device_that_is_not_there(tmp_path: Path, embedder_recipe: Make, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        train_embedder(embedder_recipe(), tmp_path / "run", **{**CPU, **options})
