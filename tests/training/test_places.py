"""A run goes on from any working folder, and with data that have moved."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smoothswap.core.errors import ConfigError, InputError
from smoothswap.training import (
    DataShare,
    EmbedderRecipe,
    Part,
    SwapperRecipe,
    load_recipe,
    moved_data,
    recipe_of_run,
    train_embedder,
)
from smoothswap.training.places import absolute_places, overrides_for_moved, without_places

QUIET: dict[str, Any] = {"accelerator": "cpu", "progress": False}
Make = Callable[..., EmbedderRecipe]


def write_faces(root: Path) -> Path:
    random = np.random.default_rng(0)
    for person in range(20):
        (root / f"p{person:02}").mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"p{person:02}" / f"{number}.png")
    return root


def write_shards(root: Path) -> str:
    folder = write_faces(root / "pictures")
    (root / "shards").mkdir()
    for shard in range(2):
        with tarfile.open(root / "shards" / f"{shard}.tar", "w") as file:
            for person in sorted(folder.iterdir())[shard::2]:
                file.add(person, person.name)
    return "shards/{0..1}.tar"


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("layout", ["identity_folder", "webdataset"])
def test_it_goes_on_from_another_folder_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder_recipe: Make, layout: str, validated: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if layout == "webdataset":
        place = {"shards": write_shards(tmp_path)}
        moved = {"data.shards": "elsewhere/{0..1}.tar"}
    else:
        place, moved = {"folder": write_faces(tmp_path / "shards").name}, {"data.folder": "elsewhere"}
    validation = Part(layout, {**place, "split": "held_out", "held_out": 0.2}) if validated else None
    data = Part(layout, {**place, "held_out": 0.2})
    recipe = embedder_recipe(data=data, validation=validation, images=32, validate_every=32, validation_images=8)
    for run in ("stays", "run"):
        train_embedder(recipe, Path(run), **QUIET)
    for images in ("48", "64"):
        stays = train_embedder(recipe_of_run(Path("stays"), {"images": images}), Path("stays"), resume=True, **QUIET)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    out = tmp_path / "run"
    train_embedder(recipe_of_run(out, {"images": "48"}), Path("../run"), resume=True, **QUIET)
    monkeypatch.chdir(tmp_path)
    shutil.move("shards", "elsewhere")
    with pytest.raises(InputError, match=r"are gone: there is no [\s\S]*train embedder --out .* --resume --"):
        train_embedder(None, out, resume=True, **QUIET)
    result = train_embedder(recipe_of_run(out, {**moved, "images": "64"}), out, resume=True, **QUIET)
    assert Path(result.path).read_bytes()[-4096:] == (tmp_path / stays.path).read_bytes()[-4096:], "as if never moved"
    kept = load_recipe(out / "recipe.json")
    assert str(next(iter({**place, **kept.data.options}.values()))).startswith(str(tmp_path / "elsewhere"))
    assert (kept.validation is None) == (not validated)
    if kept.validation is not None:
        assert "elsewhere" in str(kept.validation.options)


def test_data_of_another_kind_are_still_refused(tmp_path: Path, embedder_recipe: Make) -> None:
    folder = write_faces(tmp_path / "faces")
    data = Part("identity_folder", {"folder": str(folder), "held_out": 0.0})
    train_embedder(embedder_recipe(data=data, images=16), tmp_path / "run", **QUIET)
    shards = {"data.name": "webdataset", "data.shards": "a.tar"}
    for changes in ({"data.held_out": "0.5"}, {"data.name": "image_folder"}, {"data.mirror": "true"}, shards):
        with pytest.raises(ConfigError, match="another recipe"):
            train_embedder(recipe_of_run(tmp_path / "run", changes), tmp_path / "run", resume=True, **QUIET)
    assert moved_data(tmp_path / "run", Path("there")) == {"data.folder": "there"}
    train_embedder(embedder_recipe(images=16), tmp_path / "drawn", **QUIET)
    with pytest.raises(ConfigError, match="was not trained on a folder"):
        moved_data(tmp_path / "drawn", Path("there"))


def test_all_that_lay_in_one_place_moves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge.safetensors").touch()
    mix = {
        "same": DataShare("same_person", {"folder": "faces"}, share=0.2),
        "other": DataShare("image_folder", {"folder": "/data/ffhq", "index": "list.npz"}, share=0.2),
    }
    recipe = SwapperRecipe(
        data=Part("identity_folder", {"folder": "faces"}), mix=mix, identity_embedders=("judge.safetensors", "none.st")
    )
    whole = absolute_places(recipe)
    assert whole.data.options["folder"] == str(tmp_path / "faces")
    assert whole.mix["other"].options == {"folder": "/data/ffhq", "index": str(tmp_path / "list.npz")}
    assert whole.identity_embedders == (str(tmp_path / "judge.safetensors"), "none.st")
    assert absolute_places(whole) == whole
    assert without_places(whole) == without_places(recipe)
    assert overrides_for_moved(whole, Path("x")) == {"data.folder": "x", "mix.same.folder": "x"}


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [("a/{0..3}.tar", "{cwd}/a/{0..3}.tar"), ("{a,b}/x.tar", "{cwd}/{a,b}/x.tar"), ("/d/*.tar", "/d/*.tar"),
     ("{/d,/e}/x.tar", "{/d,/e}/x.tar"), ("~/x.tar", "/home/anna/x.tar")],
)  # fmt: skip
def test_patterns_of_shards_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, kept: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    recipe = EmbedderRecipe(data=Part("webdataset", {"shards": pattern}))
    assert absolute_places(recipe).data.options["shards"] == kept.replace("{cwd}", str(tmp_path))
