"""Recipes and their overrides: what can be said, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoothswap.core.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from smoothswap.training import Part, SwapperRecipe, load_recipe, recipe, recipe_names
from smoothswap.training.recipes import save_recipe

KINDS = ["embedder", "swapper"]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in recipe_names(kind)])
def test_named_recipes_survive_a_file(tmp_path: Path, kind: str, name: str) -> None:
    made = recipe(kind, name)
    assert made.name == name
    assert f"_{made.image_size}" in name
    save_recipe(made, tmp_path / "recipe.json")
    assert load_recipe(tmp_path / "recipe.json") == made


def test_what_the_paper_says() -> None:
    made = recipe("swapper", "paper_256")
    assert isinstance(made, SwapperRecipe)
    assert (made.generator.name, made.discriminator.name) == ("smooth_unet", "stylegan2")
    assert {name: term.weight for name, term in made.losses.items()} == {"adversarial": 1, "identity": 4, "change": 1}
    assert (made.learning_rate, made.discriminator_learning_rate, made.r1_every) == (1e-3, 4e-3, 16)
    assert made.self_pairs == 1
    assert recipe("embedder", "paper_256").embedder == Part("smooth_resnet50")  # type: ignore[union-attr]


def test_overrides() -> None:
    texts = {
        "generator.base_channels": "24",
        "generator.channel_multipliers": "1,2,4",
        "batch_size": "16",
        "learning_rate": "1e-4",
        "clip_gradients": "2",
        "validation": "none",
        "data.folder": "faces",
        "data.name": "image_folder",
    }
    made = recipe("swapper", "faceworld_64", texts)
    assert made.generator.options == {"base_channels": 24, "channel_multipliers": (1, 2, 4)}  # type: ignore[union-attr]
    assert (made.batch_size, made.learning_rate, made.clip_gradients) == (16, 1e-4, 2.0)
    assert made.validation is None
    assert (made.data.name, made.data.options["folder"]) == ("image_folder", "faces")


def test_exchanging_a_part_drops_options_that_the_new_one_lacks() -> None:
    first = recipe("embedder", "faceworld_64", {"loss.temperature": "0.2"})
    assert first.loss.options["temperature"] == 0.2  # type: ignore[union-attr]
    assert recipe("embedder", "paper_256", {"loss.name": "arcface"}).loss.options == {}  # type: ignore[union-attr]


def test_a_loss_brings_what_it_needs_and_the_caller_has_the_last_word() -> None:
    brought = recipe("embedder", "faceworld_64", {"loss.name": "arcface"})
    assert brought.loss == Part("arcface", {"scale": 16.0, "margin": 0.1})  # type: ignore[union-attr]
    said = recipe("embedder", "faceworld_64", {"loss.name": "arcface", "loss.margin": "0.5"})
    assert said.loss == Part("arcface", {"scale": 16.0, "margin": 0.5})  # type: ignore[union-attr]
    own = recipe("embedder", "faceworld_64", {"loss.name": "supcon"})
    assert own.loss == Part("supcon", {"temperature": 0.1})  # type: ignore[union-attr]


def test_groups_of_options_go_by_dotted_name() -> None:
    assert recipe("embedder", "faceworld_64", {"augment.flip": "0"}).augment.flip == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("batch_siz", "batch_size"),
        ("generatr.base_channels", "generator"),
        ("generator.base_chanels", "base_channels"),
        ("name", "options:"),
    ],
)
def test_unknown_options_are_named_with_a_suggestion(key: str, suggestion: str) -> None:
    with pytest.raises(UnknownNameError, match=suggestion):
        recipe("swapper", "faceworld_64", {key: "8"})


@pytest.mark.parametrize(
    ("key", "text"), [("batch_size", "-8"), ("batch_size", "many"), ("images", "0"), ("betas", "0.5"), ("data", "x")]
)
def test_values_that_cannot_be(key: str, text: str) -> None:
    with pytest.raises(ConfigError):
        recipe("swapper", "faceworld_64", {key: text})


@pytest.mark.parametrize(("kind", "name"), [("swaper", "faceworld_64"), ("swapper", "faceworld_46")])
def test_unknown_recipes(kind: str, name: str) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean"):
        recipe(kind, name)


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_recipe(tmp_path / "recipe.json")
    for text in ("{", "[]", '{"kind": "cook"}', '{"kind": "swapper", "batch_siz": 8}'):
        (tmp_path / "recipe.json").write_text(text)
        with pytest.raises(CheckpointError, match="no recipe"):
            load_recipe(tmp_path / "recipe.json")


@pytest.mark.parametrize(("kind", "name"), [("embedder", "faceworld_64"), ("swapper", "photos_64")])
def test_a_recipe_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    wanted = recipe(kind, name, {"images": "777"})
    (tmp_path / "run").mkdir()
    save_recipe(wanted, tmp_path / "run" / "recipe.json")
    monkeypatch.chdir(tmp_path)
    for path in ("run/recipe.json", str(tmp_path / "run" / "recipe.json"), "run", "./run"):
        assert recipe(kind, path) == wanted
    assert recipe(kind, "run/recipe.json", {"seed": "5"}).seed == 5
    other = {"embedder": "swapper", "swapper": "embedder"}[kind]
    with pytest.raises(ConfigError, match=f"not of the {other}"):
        recipe(other, "run")


@pytest.mark.parametrize("name", ["none/recipe.json", "recipe.json", "a/b"])
def test_a_recipe_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no recipe"):
        recipe("swapper", name)


def test_types_of_options_are_told_without_their_modules() -> None:
    for kind in ("embedder", "swapper"):
        for info in recipe(kind, "faceworld_64").infos():
            assert "smoothswap" not in info.type
            assert not info.type.startswith("Config")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".json", "a\0b", "\0.json", "\ud800/recipe.json"])
def test_a_recipe_of_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises((UnknownNameError, InputError)):
        recipe("embedder", name)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[]", "3", '{"kind": []}', '{"kind": "embedder", "data": 3}', '{"kind": "swapper", "mix": [1]}'],
)
def test_a_recipe_of_another_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(CheckpointError, match="no recipe that can be read"):
        recipe("embedder", str(tmp_path))
