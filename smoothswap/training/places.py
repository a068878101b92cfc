"""Where the data of a recipe lie: kept absolute, so that a run goes on from any folder, and free to move."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from smoothswap.core.errors import ConfigError, InputError
from smoothswap.core.files import as_path
from smoothswap.data.shard_names import expand_braces, shard_files
from smoothswap.training.recipe_parts import Part
from smoothswap.training.recipes import TrainingRecipe

R = TypeVar("R", bound=TrainingRecipe)
_PLACES = ("folder", "shards")
_OWN = (*_PLACES, "index")  # options of a data set that are paths


def absolute_places(recipe: R) -> R:
    """The recipe with every path of its data sets, and of the embedders in its losses, from the root on."""
    return _each(recipe, _absolute_part, lambda file: str(Path(file).absolute()) if Path(file).exists() else file)


def without_places(recipe: R) -> R:
    """The recipe as far as it does not say where things lie; two that agree in this train alike on the same data."""
    return _each(recipe, _placeless, lambda file: Path(file).name)


def moved_validation(old: TrainingRecipe, data: Part) -> Part | None:
    """The validation of a recipe whose data set has moved: it moves along where it lay in the same place."""
    validation, place = old.validation, _place(old.data)
    if validation is None or place is None or _place(validation) != place or place[0] not in data.options:
        return validation
    return Part(validation.name, {**validation.options, place[0]: data.options[place[0]]})


def overrides_for_moved(recipe: TrainingRecipe, place: Path) -> dict[str, str]:
    """The overrides that give the data sets of a run the place to which they have moved.

    Args:
        recipe: the run's.
        place: folder or shards that stand where the first of its data sets that has a place lay. All that lay there
            move; others stay.

    Raises:
        ConfigError: the run's data have no place.
    """
    places = {name: found for name, part in _data_sets(recipe) if name != "validation" and (found := _place(part))}
    if not places:
        raise ConfigError(
            f"the run was not trained on a folder but on {recipe.data.name!r}, it cannot go on with {str(place)!r}",
            hint="leave out --data, or start a new run in another folder",
        )
    first = next(iter(places.values()))
    return {f"{name}.{found[0]}": str(place) for name, found in places.items() if found == first}


def check_places(recipe: TrainingRecipe, kind: str, out: Path) -> None:
    """Refuse to resume a run whose data are gone.

    Raises:
        InputError: a folder or shards that are not there; the message says how to name the new place.
    """
    for name, part in _data_sets(recipe):
        found = _place(part)
        if found is None or _is_there(*found):
            continue
        option, place = found
        how = "--data FOLDER" if option == "folder" else f"--set {name}.{option}=PATTERN"
        raise InputError(
            f"the data of the run in {str(out)!r} are gone: there is no {place!r}",
            f"{name}.{option} of its recipe",
            hint=f"if they have moved, say where: smoothswap train {kind} --out {shlex.quote(str(out))} --resume {how}",
        )


def _data_sets(recipe: TrainingRecipe) -> Iterator[tuple[str, Part]]:
    """The parts that are data sets, by their dotted names."""
    mix: Mapping[str, Part] = getattr(recipe, "mix", {})
    yield "data", recipe.data
    yield from ((f"mix.{name}", part) for name, part in mix.items())
    if recipe.validation is not None:
        yield "validation", recipe.validation


def _each(recipe: R, change: Callable[[Any], Any], file: Callable[[str], str]) -> R:
    changes: dict[str, Any] = {"data": change(recipe.data)}
    if recipe.validation is not None:
        changes["validation"] = change(recipe.validation)
    if hasattr(recipe, "mix"):
        changes["mix"] = {name: change(part) for name, part in recipe.mix.items()}
    if hasattr(recipe, "identity_embedders"):
        changes["identity_embedders"] = tuple(map(file, recipe.identity_embedders))
    return dataclasses.replace(recipe, **changes)


def _absolute_part(part: Part) -> Part:
    paths = {
        key: _absolute(value)
        for key, value in part.options.items()
        if key in _OWN and isinstance(value, str) and value and (key, value) != ("index", "auto")
    }
    return dataclasses.replace(part, options={**part.options, **paths})


def _absolute(text: str) -> str:
    if any(as_path(name, "the shards").is_absolute() for name in expand_braces(text)):
        return str(as_path(text, "a path"))
    return str(as_path(text, "a path").absolute())


def _placeless(part: Part) -> Part:
    kept = {key: "" if key in _PLACES else value for key, value in part.options.items() if key != "index"}
    return dataclasses.replace(part, options=kept)


def _place(part: Part) -> tuple[str, str] | None:
    """Which option says where a data set lies, and what it says; None for one that lies nowhere."""
    for key in _PLACES:
        if isinstance(part.options.get(key), str):
            return key, _absolute(part.options[key])
    return None


def _is_there(option: str, place: str) -> bool:
    if option == "folder":
        return as_path(place, "the folder").exists()
    try:
        return bool(shard_files(place))
    except InputError:
        return False
