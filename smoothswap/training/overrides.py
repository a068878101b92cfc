"""Changes to a recipe in the words of a command line: `batch_size=8`, `generator.base_channels=32`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.config import Options
from smoothswap.core.errors import ConfigError, InputError, UnknownNameError
from smoothswap.core.names import did_you_mean
from smoothswap.training.override_maps import change_map
from smoothswap.training.recipe_parts import Part
from smoothswap.training.recipes import (
    EmbedderRecipe,
    TrainingRecipe,
    group_names,
    map_names,
    part_names,
)

R = TypeVar("R", bound=TrainingRecipe)


def apply_overrides(recipe: R, overrides: Mapping[str, str]) -> R:
    """A recipe with some options changed.

    `PART.name=…` exchanges a component and keeps those of its options that the new one has too; `PART.OPTION=…` sets
    one of its options, `PART=none` leaves out a part that may be left out. Losses and further data sets have names of
    their own: `losses.truth.weight=10`, `losses.change=none`, `mix.photos.name=image_folder`.

    An embedder trained on another folder or data set is measured on the held-out people of the same one, where that has
    a split `held_out`, unless the overrides name its validation.

    Args:
        recipe: the recipe to start from.
        overrides: values as text, by dotted name.

    Raises:
        UnknownNameError: a name that no option, part or component has; the message suggests the nearest.
        ConfigError: a value that the option cannot have.
    """
    parts, groups, maps = part_names(type(recipe)), group_names(type(recipe)), map_names(type(recipe))
    heads = [*parts, *groups, *maps]
    changed: dict[str, Any] = {}
    follows = isinstance(recipe, EmbedderRecipe) and _moves_the_data_alone(overrides)
    # Names first: which options a part has depends on the component it names. Data before all else, since the
    # validation may follow it.
    for key in sorted(overrides, key=lambda key: (not key.startswith("data."), not key.endswith(".name"))):
        if follows and not key.startswith("data."):
            changed, follows = changed | _held_out_of(changed.get("data", recipe.data)), False
        text = overrides[key]
        head, dot, tail = key.partition(".")
        if not dot and head not in heads:
            changed[head] = _parse(type(recipe), head, text)
        elif not dot:
            changed[head] = _whole_part(type(recipe), head, text)
        elif head not in heads:
            raise UnknownNameError(
                f"unknown part {head!r} in {key!r}{did_you_mean(head, heads)}", f"parts: {', '.join(heads)}"
            )
        elif head in maps:
            known = changed.get(head, getattr(recipe, head))
            changed[head] = change_map(known, maps[head], head, tail, text)
        elif head in groups:
            group = changed.get(head, getattr(recipe, head))
            changed[head] = dataclasses.replace(group, **{tail: groups[head].parse(tail, text)})
        else:
            part = changed.get(head, getattr(recipe, head))
            changed[head] = _change(part, parts[head], head, tail, text)
    if follows:
        changed |= _held_out_of(changed["data"])
    return dataclasses.replace(recipe, **changed)


def overrides_for_folder(folder: Path) -> dict[str, str]:
    """The overrides that train on a folder of people: tar shards, or a sub-folder of pictures for each person.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {str(folder)!r}",
            "it is a file" if folder.exists() else "the path does not exist",
            hint="name a folder with one sub-folder for each person, or with .tar shards",
        )
    shards = any(path.suffix == ".tar" for path in folder.iterdir())
    if shards:
        return {"data.name": "webdataset", "data.shards": str(folder)}
    return {"data.name": "identity_folder", "data.folder": str(folder)}


def _moves_the_data_alone(overrides: Mapping[str, str]) -> bool:
    moved = any(f"data.{option}" in overrides for option in ("name", "folder", "shards"))
    return moved and "validation" not in overrides and "validation.name" not in overrides


def _held_out_of(data: Part) -> dict[str, Part]:
    """The validation on the held-out part of a data set; nothing where it has none."""
    split = typing.get_type_hints(_config(data.name, "dataset")).get("split")
    if "held_out" not in typing.get_args(split):
        return {}
    return {"validation": Part(data.name, {**data.options, "split": "held_out"})}


def _parse(cls: type[TrainingRecipe], name: str, text: str) -> Any:
    names = {field.name: field for field in dataclasses.fields(cls)}
    if name not in names or name == "name":
        heads = [*part_names(cls), *group_names(cls), *map_names(cls)]
        raise UnknownNameError(
            f"unknown option {name!r} of the recipe{did_you_mean(name, names)}",
            f"options: {', '.join(key for key in names if key not in (*heads, 'name'))}",
            f"parts with options of their own: {', '.join(heads)}",
        )
    return cls.parse(name, text)


def _whole_part(cls: type[TrainingRecipe], name: str, text: str) -> Part | None:
    optional = next(field for field in dataclasses.fields(cls) if field.name == name).default is None
    if text.lower() == "none" and optional:
        return None
    raise ConfigError(
        f"{name!r} has options of its own, it cannot be {text!r}",
        hint=f"write {name}.name={text}" if name in part_names(cls) else f"write {name}.OPTION={text}",
    )


def _change(part: Part | None, kind: str, head: str, name: str, text: str) -> Part:
    if name == "name":
        options = _config(text, kind)
        kept = {} if part is None else {key: value for key, value in part.options.items() if key in _names(options)}
        return Part(text, kept)
    if part is None:
        raise ConfigError(f"the recipe has no {head}", hint=f"name one first: {head}.name=…")
    value = _config(part.name, kind).parse(name, text)
    return Part(part.name, {**part.options, name: value})


def _config(name: str, kind: str) -> type[Options]:
    config: type[Options] = CATALOGUE.find(name, kind).resolve().Config
    return config


def _names(config: type[Options]) -> set[str]:
    return {info.name for info in config.infos()}
