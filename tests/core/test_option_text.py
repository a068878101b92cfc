"""Options of components in words, those of a component inside another one as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from smoothswap.conversion import parse_options
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.component import Component
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError, UnknownNameError
from smoothswap.core.option_text import as_words, with_option
from smoothswap.training import recipe
from smoothswap.training.overrides import apply_overrides
from smoothswap.training.recipes import EmbedderRecipe, SwapperRecipe, load_recipe, map_names, part_names, save_recipe


class Tables:
    """A component with mappings of its own."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Options):
        table: Mapping[str, float] = option({"eyes": 1.0}, "weights of features")
        counts: Mapping[str, int] = option({}, "how often")
        free: Mapping[str, Any] = option({}, "anything")


TABLES = Component(kind="loss", name="tables", target=Tables, summary="")


@pytest.mark.parametrize(
    ("injection", "option", "text", "value"),
    [("adain", "epsilon", "1e-3", 1e-3), ("modulated", "demodulate", "no", False), ("add", "dropout", "0.25", 0.25)],
)
def test_an_option_of_a_component_inside_has_that_ones_type(
    injection: str, option: str, text: str, value: Any, tmp_path: Path
) -> None:
    words = {f"generator.injection_options.{option}": text, "generator.injection": injection}
    made = recipe("swapper", "faceworld_64", words)
    assert made.generator.options == {"injection": injection, "injection_options": {option: value}}
    save_recipe(made, tmp_path / "recipe.json")
    assert load_recipe(tmp_path / "recipe.json") == made
    assert parse_options("smooth_unet", [f"injection={injection}", f"injection_options.{option}={text}"]) == {
        "injection": injection,
        "injection_options": {option: value},
    }


def test_the_presets_own_injection_decides_where_none_is_named() -> None:
    row = CATALOGUE.find("smooth_unet_64_blend", "generator")  # its injection is adagn, which has no epsilon
    assert with_option(row, {}, "injection_options.dropout", "0.5") == {"injection_options": {"dropout": 0.5}}
    with pytest.raises(UnknownNameError, match="unknown option 'epsilon' of AdaGNInjection"):
        with_option(row, {}, "injection_options.epsilon", "1e-4")


def test_another_injection_keeps_what_it_has_too() -> None:
    words = {
        "generator.injection": "adain",
        "generator.injection_options.epsilon": "1e-3",
        "generator.injection_options.dropout": "0.5",
    }
    made = apply_overrides(recipe("swapper", "faceworld_64", words), {"generator.injection": "add"})
    assert made.generator.options == {"injection": "add", "injection_options": {"dropout": 0.5}}


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("table.nose", "0.5", {"table": {"eyes": 1.0, "nose": 0.5}}),
        ("table.eyes", "2", {"table": {"eyes": 2.0}}),
        ("counts.a", "3", {"counts": {"a": 3}}),
        ("free.colour.of", "red", {"free": {"colour.of": "red"}}),
    ],
)
def test_an_entry_of_a_mapping_has_the_type_of_its_values(word: str, text: str, expected: dict[str, Any]) -> None:
    assert with_option(TABLES, {}, word, text) == expected
    assert Tables.Config.make(expected)


@pytest.mark.parametrize(
    ("word", "text", "said"),
    [
        ("table.nose", "long", "'table.nose' of Tables cannot be 'long'"),
        ("counts.a", "1.5", "'counts.a' of Tables cannot be '1.5'"),
        ("table", "eyes=1", "give one entry: table.KEY=VALUE"),
    ],
)
def test_an_entry_of_another_type(word: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        with_option(TABLES, {}, word, text)


@pytest.mark.parametrize("name", ["losses.identity.enough", "losses.identity.options.enough"])
@pytest.mark.parametrize("value", [0.5, -0.25])
def test_options_of_a_loss_by_both_forms(name: str, value: float) -> None:
    made = recipe("swapper", "faceworld_64_guided", {name: str(value)})
    assert made.losses["identity"].options == {"enough": value}


def test_errors() -> None:
    row = CATALOGUE.find("smooth_unet", "generator")
    with pytest.raises(UnknownNameError, match="write injection_options.epsilon=1"):
        with_option(row, {}, "injection.epsilon", "1")
    with pytest.raises(UnknownNameError, match="Did you mean 'adain'"):
        with_option(row, {}, "injection", "adian")
    with pytest.raises(UnknownNameError, match="unknown option 'block.x'"):
        with_option(row, {}, "block.x", "1")
    with pytest.raises(ConfigError, match="'dropout' of .* cannot be 'much'"):
        with_option(row, {}, "injection_options.dropout", "much")


def test_as_words_is_the_inverse() -> None:
    row, options = (
        CATALOGUE.find("smooth_unet", "generator"),
        {"injection": "adain", "injection_options": {"epsilon": 0.5}},
    )
    assert as_words({**options, "image_size": 64}) == {
        "injection": "adain", "injection_options.epsilon": 0.5, "image_size": 64,
    }  # fmt: skip
    again: dict[str, Any] = {}
    for name, value in as_words(options).items():
        again = with_option(row, again, name, str(value))
    assert again == options


def test_the_fields_of_recipes_are_found_by_their_types() -> None:
    assert list(part_names(EmbedderRecipe)) == ["data", "validation", "embedder", "loss"]
    assert list(part_names(SwapperRecipe)) == ["data", "validation", "generator", "discriminator"]
    assert list(map_names(SwapperRecipe)) == ["losses", "mix"]
