"""The four verbs over the catalogue."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

import smoothswap
from smoothswap.core import catalogue as module
from smoothswap.core.catalogue import Catalogue, available, build, describe, register
from smoothswap.core.component import KINDS
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError, PluginError, UnknownNameError, WorkError


@pytest.fixture(autouse=True)
def own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CATALOGUE", Catalogue())


class Half:
    """Halves things.

    More about halving.
    """

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Options):
        times: int = option(1, "how often", at_least=1)

    def __init__(self, config: Config) -> None:
        self.config = config


def test_register_and_build() -> None:
    register("half", kind="loss", defaults={"times": 2})(Half)
    assert build("half").config.times == 2
    assert build("half", times=3).config.times == 3
    assert build("half").smoothswap_component.summary == "Halves things."


def test_registering_the_same_class_again_replaces_it() -> None:
    register("half", kind="loss")(Half)
    register("half", kind="loss", defaults={"times": 5})(Half)
    assert build("half").config.times == 5


def test_registering_a_taken_name_names_both() -> None:
    with pytest.raises(PluginError, match=r"(?s)declared twice.*by smoothswap:.*by .*test_catalogue"):
        register("supcon", kind="loss")(Half)


def test_same_name_in_two_kinds_asks_which() -> None:
    register("half", kind="loss")(Half)
    register("half", kind="swap_loss")(Half)
    with pytest.raises(UnknownNameError, match="kind='loss' or kind='swap_loss'"):
        build("half")
    assert build("half", kind="swap_loss").smoothswap_component.kind == "swap_loss"


def test_unknown_names_suggest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown component 'smoth_unet'. Did you mean 'smooth_unet' \(generator\)\?"
    ):
        build("smoth_unet")
    with pytest.raises(UnknownNameError, match="Did you mean 'loss'"):
        available("los")
    with pytest.raises(UnknownNameError, match="unknown option 'tims'"):
        register("half", kind="loss")(Half)
        build("half", tims=2)


def test_values_are_checked() -> None:
    register("half", kind="loss")(Half)
    with pytest.raises(ConfigError, match="'times' of Half cannot be 0"):
        build("half", times=0)


def test_describe_shows_the_presets_defaults() -> None:
    register("half", kind="loss", defaults={"times": 4})(Half)
    (info,) = describe("half").options
    assert (info.name, info.default, info.limits) == ("times", 4, "≥ 1")


def test_rows_are_ordered_by_kind_and_name() -> None:
    rows = available()
    assert rows == sorted(rows, key=lambda row: (KINDS.index(row.kind), row.name))
    assert {row.kind for row in rows} == set(KINDS)


def test_importing_and_listing_loads_no_torch() -> None:
    code = "import smoothswap, sys; smoothswap.available(); print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", [None, 3, ["smooth_unet"], 0.5])
def test_a_name_that_is_no_text(name: object) -> None:
    with pytest.raises(UnknownNameError, match="unknown component"):
        build(name)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown kind"):
        build("smooth_unet", name or 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arcface", {"people": 2**40}),
        ("softmax", {"people": 2**60, "dim": 2**60}),
        ("small_resnet", {"widths": (4, 2**40), "blocks": (1, 1)}),
    ],
)
def test_sizes_beyond_all_memory_are_told_with_the_component(name: str, options: dict[str, object]) -> None:
    with pytest.raises(WorkError, match=f"the memory does not suffice to build .* '{name}'") as told:
        smoothswap.build(name, **options)
    assert told.value.hint == "choose smaller sizes among its options"


def test_other_errors_of_a_component_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from smoothswap.losses.softmax import SoftmaxLoss

    def broken(self: object, config: object) -> None:
        raise RuntimeError("a fault of its own")

    monkeypatch.setattr(SoftmaxLoss, "__init__", broken)
    with pytest.raises(RuntimeError, match="a fault of its own"):
        smoothswap.build("softmax", people=2)
