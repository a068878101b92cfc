"""`list`, `describe`, `plugins`: what a user would want to read is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smoothswap import api
from smoothswap.core.component import Component

Run = Callable[..., Any]


def test_list_names_every_component(run: Run) -> None:
    outcome = run("list")
    assert outcome.code == 0
    for row in api.available():
        assert row.name in outcome.out
        assert row.kind in outcome.out
    text = " ".join(outcome.out.split())
    assert text.count("needs the extra") == sum(bool(row.needs) for row in api.available())
    assert "pip install 'smoothswap[landmarks68]'" in text


def test_list_of_one_kind_names_no_other(run: Run) -> None:
    text = run("list", "--kind", "injection").out
    assert "adain" in text
    assert "smooth_unet" not in text


@pytest.mark.parametrize("row", api.available(), ids=lambda row: f"{row.kind}-{row.name}")
def test_describe_shows_every_option(run: Run, row: Component) -> None:
    outcome = run("describe", row.name, "--kind", row.kind)
    assert outcome.code == 0
    assert row.where in outcome.out
    assert f"needs {row.needs}" in outcome.out if row.needs else "needs the extra" not in outcome.out
    for option in api.describe(row.name, row.kind).options:
        assert option.name in outcome.out
        assert option.help, f"{option.name} says nothing about itself"


def test_describe_shows_ranges_choices_and_the_defaults_of_a_preset(run: Run) -> None:
    text = run("describe", "smooth_unet_64").out
    assert "int ≥ 2" in text
    assert "biggan | ddpm" in text
    assert "(1, 3, 6, 8)" in text
    assert "a preset: image_size=64" in text


def test_describe_counts_parameters(run: Run) -> None:
    built = api.build("smooth_unet_64")
    total = sum(parameter.numel() for parameter in built.parameters())
    assert f"{total:,} parameters" in run("describe", "smooth_unet_64", "--count").out


def test_plugins_shows_what_ships(run: Run) -> None:
    text = run("plugins").out
    assert "smoothswap.builtin" in text
    assert "generator: smooth_unet, smooth_unet_64" in text
