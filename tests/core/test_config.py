"""Options check their types and ranges, and their errors name the option."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError, UnknownNameError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    folder: str = option(help="folder of pictures")
    size: int = option(64, "side, pixels", at_least=8, at_most=1024)
    rate: float = option(1e-3, "learning rate", above=0)
    multipliers: tuple[int, ...] = option((1, 2), "per level", at_least=1)
    pair: tuple[float, float] = option((0.0, 0.99), "betas")
    mode: Literal["sum", "cat"] = option("sum", "how to join")
    act: str = option("lrelu", "activation", choices=("lrelu", "relu"))
    cache: str | None = option(None, "folder, or none")
    flip: bool = option(False, "mirror at random")
    extra: Mapping[str, Any] = option({"a": 1}, "further options")


def test_values_take_the_declared_type() -> None:
    config = Config.make({"folder": "x", "rate": 1, "multipliers": [1, 2, 4]})
    assert isinstance(config.rate, float)
    assert config.multipliers == (1, 2, 4)


def test_mapping_defaults_are_not_shared() -> None:
    first, second = Config(folder="x"), Config(folder="x")
    assert first.extra == second.extra == {"a": 1}
    assert first.extra is not second.extra


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 4),
        ("size", 2048),
        ("size", 64.0),
        ("size", True),
        ("rate", 0.0),
        ("rate", float("nan")),
        ("rate", "fast"),
        ("multipliers", (1, 0)),
        ("multipliers", 3),
        ("pair", (0.5,)),
        ("mode", "mean"),
        ("act", "relo"),
        ("flip", 1),
        ("cache", 3),
    ],
)
def test_wrong_values_are_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.make({"folder": "x", name: value})
    assert repr(name) in str(caught.value)
    assert repr(value) in str(caught.value)


def test_near_choice_is_suggested() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'relu'"):
        Config(folder="x", act="relo")


def test_unknown_option_suggests_and_lists() -> None:
    for cls in (UnknownNameError, ConfigError):  # it may be caught as either
        with pytest.raises(cls, match="unknown option 'sise'.*Did you mean 'size'"):
            Config.make({"folder": "x", "sise": 3})
        with pytest.raises(cls, match="unknown option 'foldr'.*Did you mean 'folder'"):
            Config.parse("foldr", "x")


def test_missing_option_is_named() -> None:
    with pytest.raises(ConfigError, match="'folder'.*must be given"):
        Config.make({})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "128", 128),
        ("rate", "2e-4", 2e-4),
        ("multipliers", "1,2,3", (1, 2, 3)),
        ("multipliers", "(1, 2)", (1, 2)),
        ("cache", "none", None),
        ("cache", "somewhere", "somewhere"),
        ("flip", "yes", True),
        ("flip", "false", False),
        ("mode", "cat", "cat"),
    ],
)
def test_text_of_the_command_line(name: str, text: str, value: Any) -> None:
    assert Config.parse(name, text) == value


@pytest.mark.parametrize(("name", "text"), [("size", "big"), ("flip", "maybe"), ("multipliers", "1,x")])
def test_text_that_does_not_parse(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Config.parse(name, text)


def test_infos_hold_help_and_limits() -> None:
    infos = {info.name: info for info in Config.infos()}
    assert infos["folder"].required
    assert not infos["size"].required
    assert infos["size"].limits == "≥ 8, ≤ 1024"
    assert infos["act"].limits == "one of lrelu, relu"
    assert infos["size"].help == "side, pixels"


@pytest.mark.parametrize("word", ["none", "None", "NONE"])
def test_the_word_for_none_is_none_where_it_may_be(word: str) -> None:
    assert Config(folder=word, cache=word).cache is None
    assert Config(folder=word).folder == word, "an option that must be text keeps it"
    assert Config(folder="x", cache="./none").cache == "./none"


def test_to_dict_is_plain() -> None:
    assert Config(folder="x").to_dict()["multipliers"] == [1, 2]


@pytest.mark.parametrize("value", [10**400, -(10**309), float("inf")])
def test_a_number_beyond_all_floats(value: float) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Own(Options):
        rate: float = option(1.0, "a rate")

    with pytest.raises(ConfigError, match="option 'rate' of Own cannot be"):
        Own(rate=value)
