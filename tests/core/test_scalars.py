from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import smoothswap
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError
from smoothswap.core.scalars import plain, takes_numpy_scalars
from smoothswap.data.faceworld import Population, render, swap_pairs, write_folder
from smoothswap.training import recipes


@dataclass(frozen=True, kw_only=True)
class Some(Options):
    """Options of every type."""

    count: int = option(1, "n", at_least=0)
    factor: float = option(1.0, "x", above=0)
    maybe: float | None = option(None, "x")
    sizes: tuple[int, ...] = option((1,), "n", at_least=1)
    wide: bool = option(False, "b")
    side: Literal[1, 2] = option(1, "n")
    name: str = option("a", "s", choices=["a", "b"])
    parts: Mapping[str, Any] = option({}, "p")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"count": np.int64(3)}, {"count": 3}),
        ({"count": np.uint8(3)}, {"count": 3}),
        ({"factor": np.float32(0.5)}, {"factor": 0.5}),
        ({"factor": np.float16(0.5)}, {"factor": 0.5}),
        ({"factor": np.int32(2)}, {"factor": 2.0}),
        ({"factor": np.array(2.5)}, {"factor": 2.5}),
        ({"maybe": np.float64(2)}, {"maybe": 2.0}),
        ({"sizes": [np.int64(1), np.int16(2)]}, {"sizes": (1, 2)}),
        ({"wide": np.bool_(True)}, {"wide": True}),
        ({"side": np.int64(2)}, {"side": 2}),
        ({"name": np.str_("b")}, {"name": "b"}),
        ({"parts": {"image_size": np.int64(8)}}, {"parts": {"image_size": 8}}),
    ],
)
def test_options_take_numpys_scalars_and_hold_pythons(given: dict[str, Any], made: dict[str, Any]) -> None:
    options = Some.make(given)
    ((name, value),) = made.items()
    assert getattr(options, name) == value
    assert type(getattr(options, name)) is type(value)
    assert json.loads(json.dumps(options.to_dict()))[name] == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": np.float32(1)},
        {"count": np.bool_(True)},
        {"count": np.int64(-1)},
        {"factor": np.float32("nan")},
        {"factor": np.float64(0)},
        {"factor": np.array([1.0])},
        {"wide": np.int64(1)},
        {"sizes": [np.int64(0)]},
        {"side": np.int64(3)},
    ],
)
def test_what_python_numbers_may_not_be_numpys_may_not_either(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Some.make(wrong)


def test_a_component_and_a_recipe_take_them() -> None:
    model = smoothswap.build("small_resnet", input_size=np.int64(32), dim=np.uint16(16))
    assert model.config == smoothswap.build("small_resnet", input_size=32, dim=16).config
    assert recipes.SwapperRecipe(seed=np.int64(3)) == recipes.SwapperRecipe(seed=3)


@takes_numpy_scalars
def given(*values: object, **options: object) -> tuple[object, ...]:
    """What arrived."""
    return (*values, *options.values())


def test_functions_find_pythons_own_values() -> None:
    array = np.zeros((1,))
    found = given(np.int64(2), np.array(3), array, None, rate=np.float32(0.5), on=np.bool_(True), name=np.str_("x"))
    assert found == (2, 3, array, None, 0.5, True, "x")
    assert [type(value) for value in found] == [int, int, np.ndarray, type(None), float, bool, str]
    assert given.__name__ == "given"
    assert given.__doc__ == "What arrived."


def test_rendering_takes_them(tmp_path: Path) -> None:
    people = Population(seed=np.int64(0), groups=np.int32(2), people_per_group=np.array(2))
    source, _ = swap_pairs(people, count=np.int64(1), seed=np.uint8(0))
    image = render(source, size=np.int64(16), supersample=np.array(1)).image
    assert torch.equal(image, render(source, size=16, supersample=1).image)
    assert write_folder(tmp_path / "out", np.int64(2), np.array(1), np.int32(16), np.uint8(3)) == 2
    assert json.loads((tmp_path / "out" / "faceworld.json").read_text("utf-8"))["seed"] == 3


def test_other_values_stay_as_they_are() -> None:
    array = np.zeros(2)
    assert plain(array) is array
    assert plain("text") == "text"
    assert plain(None) is None
