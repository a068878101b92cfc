"""The same training on a folder of JPEGs of mixed sizes: held-out people, broken files, refusals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from PIL import Image

import smoothswap
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError, InputError
from smoothswap.data.faceworld import Population, render
from smoothswap.training import (
    EmbedderRecipe,
    Part,
    SwapperRecipe,
    overrides_for_folder,
    recipe,
    train_embedder,
    train_swapper,
)
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


def test_a_swapper_takes_a_folder_of_images_too(tmp_path: Path) -> None:
    named, nameless, sharded = tmp_path / "named", tmp_path / "nameless", tmp_path / "sharded"
    for folder in (named / "anna.png", nameless / "anna", sharded):
        folder.mkdir(parents=True)
    for file in (named / ".hidden.png", named / "notes.txt", nameless / "1.JPG", sharded / "0.tar", sharded / "x.png"):
        file.touch()
    folder = {"data.name": "identity_folder", "data.folder": str(named)}
    assert overrides_for_folder(named, "swapper") == folder == overrides_for_folder(named)
    assert overrides_for_folder(nameless, "swapper") == {"data.name": "image_folder", "data.folder": str(nameless)}
    assert overrides_for_folder(nameless)["data.name"] == "identity_folder"
    shards = {"data.name": "webdataset", "data.shards": str(sharded)}
    assert overrides_for_folder(sharded, "swapper") == shards == overrides_for_folder(sharded)
    with pytest.raises(InputError, match=r"there is no folder(?s:.*)it is a file(?s:.*)with images"):
        overrides_for_folder(sharded / "0.tar", "swapper")


def test_a_recipe_that_mixes_photographs_in_takes_them_from_the_folder(tmp_path: Path) -> None:
    named, nameless, sharded = tmp_path / "named", tmp_path / "nameless", tmp_path / "sharded"
    for folder in (named / "anna", nameless, sharded):
        folder.mkdir(parents=True)
    for file in (nameless / "1.JPG", sharded / "0.tar", named / "manifest.jsonl", nameless / "manifest.jsonl"):
        file.touch()
    same = {"mix.same.name": "same_person", "mix.same.share": "0.0625"}
    photos = recipe("swapper", "photos_64", same)
    wanted = overrides_for_folder(named, "swapper", photos)
    folders = {f"mix.{name}.folder": str(named) for name in ("photos", "pasted", "same")}
    assert wanted == folders | {"mix.photos.name": "identity_folder", "mix.photos.min_images": "1"}
    made = apply_overrides(photos, wanted)
    assert made.data == photos.data
    assert made.validation == photos.validation
    assert made.mix["same"].options["folder"] == str(named)
    assert made.mix["same"].share == 0.0625
    # Nobody has two images there, so no pairs of one person can be drawn.
    wanted = overrides_for_folder(nameless, "swapper", photos)
    assert wanted == {"mix.photos.folder": str(nameless), "mix.pasted.folder": str(nameless), "mix.same": "none"}
    assert list(apply_overrides(photos, wanted).mix) == ["photos", "pasted"]
    # Faces can be pasted only where it is known where they are.
    (named / "manifest.jsonl").unlink()
    for folder in (named, sharded):
        with pytest.raises(InputError, match="where the faces in") as refused:
            overrides_for_folder(folder, "swapper", photos)
        assert "smoothswap align" in str(refused.value)
        assert "--set mix.pasted=none" in str(refused.value)
    photos = apply_overrides(photos, {"mix.pasted": "none"})
    made = apply_overrides(photos, overrides_for_folder(sharded, "swapper", photos))
    assert (made.mix["photos"].name, made.mix["photos"].options["shards"]) == ("webdataset", str(sharded))
    # What the user has set already stays, and a recipe without such parts trains on the folder as before.
    own = apply_overrides(photos, {"mix.photos.folder": "mine"})
    assert overrides_for_folder(named, "swapper", own) == {"mix.same.folder": str(named)}
    plain = recipe("swapper", "faceworld_64")
    assert overrides_for_folder(named, "swapper", plain) == overrides_for_folder(named, "swapper")


def test_a_recipe_of_photographs_alone_holds_the_same_people_out_everywhere(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "manifest.jsonl").touch()
    photos = recipe("swapper", "photos_128")
    made = apply_overrides(photos, overrides_for_folder(tmp_path, "swapper", photos))
    assert (made.data.name, made.mix["photos"].name) == ("pasted_faces", "identity_folder")
    for part in (made.data, made.mix["photos"]):
        assert (part.options["folder"], part.options["held_out"]) == (str(tmp_path), 0.05)
    assert made.mix["photos"].options["min_images"] == 1
    assert made.validation == Part("pasted_faces", {**made.data.options, "split": "held_out"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plugins(Options):
    """Options of a plugin's data set, which names its splits by `choices`."""

    split: str = option("train", "which part", choices=("train", "held_out"))
    folder: str = option("somewhere", "where")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole(Options):
    """Options of a data set without a held-out part."""

    split: Literal["train", "all"] = option("train", "which part")
    folder: str = option("somewhere", "where")


@pytest.fixture
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)
    for name, config in (("test_plugins", Plugins), ("test_whole", Whole)):
        smoothswap.register(name, kind="dataset", summary="a test")(type(name, (), {"Config": config}))


@pytest.mark.usefixtures("_plugins")
@pytest.mark.parametrize("kind", ["embedder", "swapper"])
def test_validation_follows_any_data_in_both_trainings(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    made = recipe(kind, "faceworld_64", {"data.name": "test_plugins", "data.folder": "here"})
    assert made.validation == Part("test_plugins", {"folder": "here", "split": "held_out"})
    made = recipe(kind, "paper_256", {"data.folder": "here", "data.held_out": "0.2"})
    assert made.validation == Part(made.data.name, {"folder": "here", "held_out": 0.2, "split": "held_out"})
    kept = recipe(kind, "faceworld_64")
    assert kept.validation is not None
    # The same data set by name, with other options, has not moved.
    for more in ({"data.name": "faceworld"}, {"data.name": "faceworld", "data.groups": "3"}, {"data.seed": "3"}):
        assert recipe(kind, "faceworld_64", more).validation == kept.validation
    named = recipe(kind, "faceworld_64", {"data.name": "test_whole", "validation.name": "test_plugins"})
    assert named.validation is not None
    assert named.validation.name == "test_plugins"
    assert caplog.records == []


@pytest.mark.usefixtures("_plugins")
@pytest.mark.parametrize("kind", ["embedder", "swapper"])
def test_data_without_a_held_out_part_are_not_validated_on_faceworld(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = recipe(kind, "faceworld_64", {"data.name": "test_whole"})
    assert made.validation is None
    assert [record.getMessage() for record in caplog.records] == [
        "the data set 'test_whole' has no split 'held_out', so nothing is validated; "
        "--set validation.name=… names other data"
    ]
    assert recipe(kind, "faceworld_64", {"data.name": "test_whole", "validation": "none"}).validation is None
    # A run's own recipe, resumed with the same words, keeps the validation that it was given.
    run = dataclasses.replace(made, validation=Part("test_plugins"))
    assert apply_overrides(run, {"data.name": "test_whole", "data.folder": "somewhere"}).validation is None
    assert apply_overrides(run, {"data.name": "test_whole"}).validation == Part("test_plugins")
    assert len(caplog.records) == 2


def test_a_swapper_trains_on_a_folder_and_is_measured_on_what_it_holds_out(
    faces: Path, tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(faces.rglob("*.jpg"))):
        (flat / f"{number}.jpg").write_bytes(file.read_bytes())
    wanted = {**overrides_for_folder(flat, "swapper"), "data.held_out": "0.3"}
    made = apply_overrides(swapper_recipe(images=8), wanted)
    result = train_swapper(made, tmp_path / "run", embedder=embedder_file, **CPU)
    assert {"held_out_similarity_source", "held_out_psnr_target"} <= set(result.metrics)
    assert "held_out_gain" not in result.metrics  # nobody knows the true swap of a photograph
    # Too little held out ends the run before its first step, not at its first validation.
    less = apply_overrides(made, {"data.held_out": "0", "data.folder": str(flat)})
    with pytest.raises(InputError, match=r"no data to validate on: .*too few pictures: 0"):
        train_swapper(less, tmp_path / "less", embedder=embedder_file, **CPU)
    assert not (tmp_path / "less" / "recipe.json").exists()


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
    assert "--set people_per_batch=15" in str(error.value)
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
