"""The same training on a folder of JPEGs of mixed sizes: held-out people, broken files, refusals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from smoothswap.core.errors import ConfigError, InputError
from smoothswap.data.faceworld import Population, render
from smoothswap.training import EmbedderRecipe, overrides_for_folder, recipe, train_embedder
from smoothswap.training.broken import broken_in, keep_broken
from smoothswap.training.overrides import apply_overrides

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
PEOPLE, EACH = 16, 4


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FaceWorld as a user's folder: a sub-folder for each person, JPEGs of several sizes and shapes."""
    folder = tmp_path_factory.mktemp("faces")
    world = Population(groups=PEOPLE, people_per_group=1)
    for person in range(PEOPLE):
        home = folder / f"person {person}"
        home.mkdir()
        for number in range(EACH):
            size = 20 + 4 * ((person + number) % 4)
            image = render(world.picture(person, number), size, 1).image[0]
            pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
            picture = Image.fromarray(pixels)
            # Some with a border left and right, which the centre square leaves out.
            wide = Image.new("RGB", (size + 2 * number, size))
            wide.paste(picture, (number, 0))
            wide.save(home / f"{number}.{'jpg' if number % 2 else 'JPEG'}", quality=95)
    return folder


def on(folder: Path, made: EmbedderRecipe, **more: str) -> EmbedderRecipe:
    named = {key.replace("__", "."): value for key, value in more.items()}
    return apply_overrides(made, {**overrides_for_folder(folder), **named})


def test_it_trains_and_is_measured_on_held_out_people(
    faces: Path, tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe]
) -> None:
    (faces / "person 3" / "0.JPEG").write_bytes(b"broken")
    made = on(faces, embedder_recipe(images=480, learning_rate=3e-3, validate_every=160), data__held_out="0.4")
    result = train_embedder(made, tmp_path / "run", **CPU)
    assert result.finished
    metrics = result.metrics
    assert set(metrics) == {
        "loss", "auc", "tar_at_far_1e-2", "knn_rank1", "alignment", "uniformity", "d_smooth", "interpolation_count",
    }  # fmt: skip
    assert 0.6 < metrics["auc"] <= 1
    assert 0 < metrics["d_smooth"] < 2
    assert 1 <= metrics["interpolation_count"] <= 9
    lines = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if "auc" in line] == [160, 320, 480]
    assert (tmp_path / "run" / "broken.txt").read_text() == f"{faces / 'person 3' / '0.JPEG'}\n"


def test_validation_follows_the_data(tmp_path: Path, faces: Path) -> None:
    made = recipe("embedder", "faceworld_64", {**overrides_for_folder(faces), "data.held_out": "0.3"})
    assert isinstance(made, EmbedderRecipe)
    assert made.data.name == "identity_folder"
    assert made.validation == dataclasses.replace(made.data, options={**made.data.options, "split": "held_out"})
    assert made.validation.options["held_out"] == 0.3
    assert made.validation.options["folder"] == str(faces)
    # The paper's recipe, which has no validation of its own, takes the folder's held-out people as well.
    paper = recipe("embedder", "paper_256", {"data.folder": str(faces), "validation.min_images": "3"})
    assert paper.validation is not None
    assert paper.validation.options == {"folder": str(faces), "split": "held_out", "min_images": 3}
    # What is said of the validation counts.
    assert recipe("embedder", "faceworld_64", {"data.name": "identity_folder", "validation": "none"}).validation is None
    kept = recipe("embedder", "faceworld_64", {"data.groups": "3"})
    assert kept.validation is not None
    assert kept.validation.options["split"] == "held_out_people"
    (tmp_path / "0.tar").write_bytes(b"")
    assert overrides_for_folder(tmp_path) == {"data.name": "webdataset", "data.shards": str(tmp_path)}


def test_refusals_say_what_to_set(faces: Path, tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "alone").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / "one" / "alone" / f"{number}.png")
    run = tmp_path / "run"
    made = embedder_recipe()
    with pytest.raises(InputError, match="there is no folder"):
        overrides_for_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="too few people: 0"):
        train_embedder(on(tmp_path / "empty", made), run, **CPU)
    with pytest.raises(InputError, match="too few people"):
        train_embedder(on(tmp_path / "one", made), run, **CPU)
    with pytest.raises(ConfigError, match="people_per_batch cannot be 40: the data set holds") as error:
        train_embedder(on(faces, made, people_per_batch="40"), run, **CPU)
    assert "choose people_per_batch=" in str(error.value)
    with pytest.raises(InputError, match="no data to validate on") as refused:
        train_embedder(on(faces, made, data__held_out="0.01"), run, **CPU)
    assert "--set data.held_out=" in str(refused.value)
    assert not run.exists() or not list(run.iterdir())


def test_the_list_of_broken_files(tmp_path: Path) -> None:
    class Reads:
        broken = (Path("b.jpg"), "shard.tar:a.jpg")

    assert broken_in(Reads(), object()) == ["b.jpg", "shard.tar:a.jpg"]
    assert keep_broken(tmp_path, []) == ""
    assert not (tmp_path / "broken.txt").exists()
    assert keep_broken(tmp_path, broken_in(Reads())).startswith("2 pictures could not be read")
    assert keep_broken(tmp_path, ["b.jpg"]) == ""
    assert keep_broken(tmp_path, ["line\nbreak", "\udcff"]).startswith("4 pictures")
    text = (tmp_path / "broken.txt").read_text(encoding="utf-8", errors="surrogateescape")
    assert text.splitlines() == ["b.jpg", "line\\nbreak", "shard.tar:a.jpg", "\udcff"]
