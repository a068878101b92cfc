"""Recipes: files of runs with other trees, and options changed in the words of a command line."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fuzz.case import Case, Part
from fuzz.mutation import mutated
from fuzz.trees import TEXTS, VALUES, changed
from hypothesis import strategies as st
from training.tiny import DATA, TRUE_SWAPS

from smoothswap import training
from smoothswap.core.catalogue import available
from smoothswap.training.recipes import RECIPE, RECIPES, load_recipe

_ENGINE: dict[str, Any] = {"accelerator": "cpu", "progress": False}
_KINDS: tuple[Literal["embedder", "swapper"], ...] = ("embedder", "swapper")
_TINY = {
    "embedder": {
        "image_size": "16", "data.name": DATA.name, "validation": "none", "embedder.widths": "4,4", "images": "8",
        "embedder.blocks": "1,1", "people_per_batch": "2", "images_per_person": "2",
    },
    "swapper": {
        "image_size": "16", "data.name": TRUE_SWAPS.name, "validation": "none", "images": "4", "batch_size": "2",
        "generator.base_channels": "4", "generator.channel_multipliers": "1,1", "generator.attention_resolutions": "",
        "discriminator.channel_base": "32", "discriminator.channel_max": "8",
    },
}  # fmt: skip


@functools.cache
def _trees() -> list[tuple[str, dict[str, Any]]]:
    """Kind and content of every named recipe."""
    return [
        (kind, json.loads(json.dumps({"kind": kind, **training.recipe(kind, name).to_dict()})))
        for kind in _KINDS
        for name in training.recipe_names(kind)
    ]


def _dotted(tree: Any, above: str = "") -> Iterator[str]:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        name = f"{above}.{key}" if above else key
        yield name.replace(".options.", ".")
        yield from _dotted(value, name)


@functools.cache
def _names(kind: str) -> list[str]:
    return sorted({name for each, tree in _trees() for name in _dotted(tree) if each == kind and name != "kind"})


@functools.cache
def _components() -> list[str]:
    return [row.name for row in available()]


_WORDS = st.one_of(
    st.sampled_from(["none", "", "0", "1", "2", "-1", "0.5", "1e400", "nan", "inf", "true", "1,2", "(1,)", ",", "[",
        "{}", "cosine", "1_000", "٣", "0x10", "9" * 5000, "1" + "0" * 30]),
    TEXTS,
)  # fmt: skip


@st.composite
def _changes(draw: st.DrawFn, kind: str) -> dict[str, str]:
    found = {}
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(_names(kind)))
        if draw(st.integers(0, 4)) == 0:
            name = draw(
                st.sampled_from(
                    [
                        f"{name}.name",
                        f"{name}.{name}",
                        f"losses.{name}.weight",
                        f"mix.x.{name}",
                        "mix.x.name",
                        "",
                        ".",
                        f"{name}.",
                        "losses.x.options.y",
                    ]
                )
            )
        component = name.endswith("name") and draw(st.booleans())
        found[name] = draw(st.sampled_from(_components()) if component else _WORDS)
    return found


@st.composite
def _named(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(_KINDS))
    name = draw(st.one_of(st.sampled_from(training.recipe_names(kind)), TEXTS))
    changes = draw(_changes(kind))
    return Case(f"recipe({kind!r}, {name!r}, {str(changes)[:2000]})", lambda: training.recipe(kind, name, changes))


@st.composite
def _file(draw: st.DrawFn) -> Case:
    kind, tree = draw(st.sampled_from(_trees()))
    text = json.dumps(draw(st.one_of(changed(tree), changed(tree), VALUES)))
    content = text.encode("utf-8", "replace")
    if draw(st.integers(0, 3)) == 0:
        content = draw(st.one_of(mutated(content), st.just(b"[" * 200_000), st.just(b'{"kind":' * 100_000)))
    changes = draw(st.one_of(st.just({}), _changes(kind)))

    def call() -> None:
        made = training.recipe(kind, RECIPE, changes)
        json.dumps(made.to_dict())
        if RECIPES[kind].from_dict(made.to_dict()) != made and "nan" not in str(made):
            raise AssertionError("a recipe does not equal itself after a trip through a file")

    return Case(f"recipe({kind!r}, 'recipe.json', {str(changes)[:2000]})", call, {RECIPE: content})


@st.composite
def _trained(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(_KINDS))
    changes = {**_TINY[kind], **draw(_changes(kind))}
    changes = {name: text for name, text in changes.items() if name not in ("workers", "threads", "mix.x.workers")}

    def call() -> None:
        made = training.recipe(kind, "faceworld_64", changes)
        if kind == "embedder":
            training.train_embedder(made, "out", duration=2.0, **_ENGINE)
        else:
            training.train_swapper(made, "out", duration=2.0, embedder="sface", **_ENGINE)
        load_recipe(Path("out", RECIPE))

    return Case(f"train {kind} with {str(changes)[:2000]}", call, endless=True)


PART = Part(
    "recipes",
    "recipe.json of runs, --set of any field with any value, and short trainings by them",
    st.one_of(_named(), _named(), _file(), _file(), _trained()),
    _trees,
)
