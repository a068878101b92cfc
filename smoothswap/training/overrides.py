"""Changes to a recipe in the words of a command line: `batch_size=8`, `generator.base_channels=32`."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.config import Options
from smoothswap.core.errors import ConfigError, InputError, UnknownNameError, UnknownOptionError
from smoothswap.core.files import as_path
from smoothswap.core.names import did_you_mean
from smoothswap.core.option_text import with_option
from smoothswap.data.crop_points import MANIFEST
from smoothswap.data.layout import folder_layout
from smoothswap.training.override_maps import change_map
from smoothswap.training.parts import option_names, options_of
from smoothswap.training.recipe_parts import Part
from smoothswap.training.recipes import Kind, TrainingRecipe, group_names, map_names, part_names

R = TypeVar("R", bound=TrainingRecipe)
_log = logging.getLogger(__name__)
_PLACE = ("name", "folder", "shards")  # options of `data` that say where it comes from


def apply_overrides(recipe: R, overrides: Mapping[str, str]) -> R:
    """A recipe with some options changed.

    `PART.name=…` exchanges a component and keeps those of its options that the new one has too; `PART.OPTION=…` sets
    one of its options, `PART=none` leaves out a part that may be left out. Losses and further data sets have names of
    their own: `losses.truth.weight=10`, `losses.change=none`, `mix.photos.name=image_folder`.

    A training on another folder or data set is validated on the held-out part of the same one, where that has a split
    `held_out`, unless the overrides name its validation. Where it has none, it is not validated, and a warning in the
    log says so.

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
    follows = _moves_the_data_alone(overrides)
    # Names first: which options a part has depends on the component it names, and those of a component inside it on
    # that one's. Data before all else, since the validation may follow it.
    for key in sorted(
        overrides, key=lambda key: (not key.startswith("data."), not key.endswith(".name"), key.count("."))
    ):
        if follows and not key.startswith("data."):
            changed, follows = changed | _validation_of(changed["data"], recipe), False
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
        changed |= _validation_of(changed["data"], recipe)
    return dataclasses.replace(recipe, **changed)


def overrides_for_folder(folder: Path, kind: Kind = "embedder", recipe: TrainingRecipe | None = None) -> dict[str, str]:
    """The overrides that train on a folder of faces: tar shards, or a sub-folder of images for each person.

    Args:
        folder: what to train on.
        kind: a `swapper` also takes a folder that holds images directly, each of another person.
        recipe: what is trained. Where it has data sets whose folder is left to the user, as `photos_64` does, these
            take the folder, and others stay. A part that needs identities with several images is left out
            where the folder does not know them.

    Raises:
        InputError: there is no such folder, it may not be read, or a part needs the points that `align` notes and it
            has none.
    """
    nameless = kind == "swapper"
    folder = as_path(folder, "the folder")
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {str(folder)!r}",
            "it is a file" if folder.exists() else "the path does not exist",
            hint=f"name a folder with {'images, with ' if nameless else ''}one sub-folder for each person, "
            "or with .tar shards",
        )
    layout = folder_layout(folder)
    if layout == "image_folder" and not nameless:
        layout = "identity_folder"
    where = "shards" if layout == "webdataset" else "folder"
    open_parts = without_folder(recipe)
    if not open_parts:
        return {"data.name": layout, f"data.{where}": str(folder)}
    overrides = {}
    for name, part in open_parts.items():
        if part.name == "same_person" and layout != "identity_folder":
            overrides[name] = "none"
            continue
        if part.name == "pasted_faces" and not (folder / MANIFEST).is_file():
            without = f"; or train without: --set {name}=none" if name != "data" else ""
            raise InputError(
                f"the data set {part.name!r} needs to know where the faces in {str(folder)!r} are",
                f"it has no {MANIFEST}, which `smoothswap align` writes beside its crops",
                hint=f"smoothswap align {'PHOTOGRAPHS' if layout == 'webdataset' else shlex.quote(str(folder))} "
                f"{shlex.quote(f'{folder}-aligned')}, then "
                f"train on that folder{without}",
            )
        if part.name == "image_folder" and layout != part.name:
            # By person, so that all parts hold the same people out.
            overrides |= {f"{name}.name": layout, f"{name}.min_images": "1"}
        overrides[f"{name}.{where}"] = str(folder)
    return overrides


def without_folder(recipe: TrainingRecipe | None) -> dict[str, Part]:
    """The data sets of a recipe that need a folder and have none, by their dotted names."""
    if recipe is None:
        return {}
    mixed: Mapping[str, Part] = getattr(recipe, "mix", {})
    return {
        name: part
        for name, part in {"data": recipe.data, **{f"mix.{name}": part for name, part in mixed.items()}}.items()
        if any(info.name == "folder" and info.required for info in options_of(part.name, "dataset").infos())
        and "folder" not in part.options
    }


def _moves_the_data_alone(overrides: Mapping[str, str]) -> bool:
    moved = any(f"data.{option}" in overrides for option in _PLACE)
    return moved and "validation" not in overrides and "validation.name" not in overrides


def _validation_of(data: Part, recipe: TrainingRecipe) -> dict[str, Part | None]:
    """The validation that follows from the data set that a recipe is moved to: on what it holds out, else none."""
    if "held_out" in _splits(options_of(data.name, "dataset")):
        return {"validation": Part(data.name, {**data.options, "split": "held_out"})}
    if recipe.validation is None or _place(data) == _place(recipe.data):
        return {}
    _log.warning(
        "the data set %r has no split 'held_out', so nothing is validated; --set validation.name=… names other data",
        data.name,
    )
    return {"validation": None}


def _splits(config: type[Options]) -> tuple[Any, ...]:
    """The values that the option `split` may have; none where there is no such option."""
    field = next((field for field in dataclasses.fields(config) if field.name == "split"), None)
    if field is None:
        return ()
    return field.metadata.get("choices") or typing.get_args(typing.get_type_hints(config)["split"])


def _place(data: Part) -> list[Any]:
    return [data.name, *(data.options.get(option) for option in _PLACE[1:])]


def _parse(cls: type[TrainingRecipe], name: str, text: str) -> Any:
    names = {field.name: field for field in dataclasses.fields(cls)}
    if name not in names or name == "name":
        heads = [*part_names(cls), *group_names(cls), *map_names(cls)]
        raise UnknownOptionError(
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
        hint=f"write {name}.name={text}"
        if name in part_names(cls)
        else f"write {name}.{'NAME.OPTION' if name in map_names(cls) else 'OPTION'}=…",
    )


def _change(part: Part | None, kind: str, head: str, name: str, text: str) -> Part:
    if name == "name":
        names = option_names(options_of(text, kind))
        return Part(text, {} if part is None else {key: part.options[key] for key in part.options if key in names})
    if part is None:
        raise ConfigError(f"the recipe has no {head}", hint=f"name one first: {head}.name=…")
    return Part(part.name, with_option(CATALOGUE.find(part.name, kind), part.options, name, text))
