"""A run's folder: who may write into it, and how a run is taken up again."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from smoothswap.core.errors import ConfigError, InputError, SmoothSwapError
from smoothswap.core.files import as_path, output_folder
from smoothswap.training.checkpoint import LAST, PREVIOUS
from smoothswap.training.logging import LOG
from smoothswap.training.overrides import apply_overrides
from smoothswap.training.places import (
    absolute_places,
    check_places,
    moved_validation,
    overrides_for_moved,
    without_places,
)
from smoothswap.training.recipes import RECIPE, RECIPES, Kind, Recipe, TrainingRecipe, load_recipe, save_recipe
from smoothswap.training.run_lock import LOCK
from smoothswap.training.start_from import STARTED_FROM

R = TypeVar("R", bound=TrainingRecipe)

# What a run makes before its first checkpoint.
_MADE = (RECIPE, LOG, STARTED_FROM, "embedder.safetensors", "tensorboard", "samples")
# What may change when a run is taken up again: none of these alters a step that was already taken.
_FREE = {
    "images",
    "threads",
    "workers",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "copy_alarm_after",
    "patience",
}
# These neither, but the run is then no longer the one that its recipe alone would give; the log says so.
_STEERING = {"losses", "learning_rate", "discriminator_learning_rate", "clip_gradients", "r1_gamma"}


def open_folder(recipe: R | None, out: Path, kind: Kind, *, resume: bool) -> R:
    """Prepare the folder of a new run, or check that a run can be taken up again with this recipe.

    Args:
        recipe: what the caller wants; None takes the folder's own, which only a resumed run has.
        out: the folder; made where it does not exist, its parent must.
        kind: `embedder` or `swapper`.
        resume: continue the run in the folder.

    Returns:
        The recipe to train by.

    Raises:
        ConfigError: the folder holds a run and `resume` is off, or the recipe differs from the run's in more than the
            places of its data.
        InputError: there is nothing to resume, its data are gone, or the folder may not be written.
    """
    path = out / RECIPE
    if not resume:
        if recipe is None:
            raise ConfigError("a new training needs a recipe", hint="smoothswap.training.recipe(kind, name) gives one")
        if path.exists() or (out / LAST).exists() or (out / PREVIOUS).exists():
            raise ConfigError(
                f"{str(out)!r} already holds a run",
                hint=f"continue it with `smoothswap train {kind} --out {shlex.quote(str(out))} --resume`, or choose "
                "another folder",
            )
        _make(out)
        return absolute_places(recipe)
    _check_run(out)
    output_folder(out, RECIPE, LAST)
    saved = load_recipe(path)
    if not isinstance(saved, RECIPES[kind]):
        raise ConfigError(f"{str(out)!r} holds the training of another kind of model, not of the {kind}")
    wanted: R = absolute_places(saved if recipe is None else recipe)  # type: ignore[assignment]
    facts = [
        f"{key}: {old!r} in the run, {new!r} now"
        for key, (old, new) in _changes(without_places(saved), without_places(wanted)).items()
        if key not in _FREE | _STEERING
    ]
    if facts:
        raise ConfigError(
            f"the run in {str(out)!r} was started with another recipe",
            *facts,
            f"these may change: {', '.join(sorted(_FREE | _STEERING))}, and where the data lie",
            hint="resume it without naming a recipe or options, or start a new run in another folder",
        )
    check_places(wanted, kind, out)
    return wanted


@contextmanager
def without_traces(out: Path) -> Iterator[None]:
    """Around a run: what it made is removed again if it is refused before its first checkpoint.

    Refused is what the user can put right, at the first batch as well; then the same command shall work once it is.

    Args:
        out: the run's folder.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    before = set(out.iterdir()) if out.is_dir() else set()
    try:
        yield
    except BaseException as error:
        refused = isinstance(error, SmoothSwapError) and error.exit_code == SmoothSwapError.exit_code
        # With a lock in it the folder is another process's, which refused this one: what lies there is not ours.
        if refused and not any((out / name).exists() for name in (LAST, PREVIOUS, LOCK)):
            for own in {out / name for name in _MADE} - before:
                _remove(own)
        with suppress(OSError):  # it is not empty, or another process was quicker
            for folder in made:
                folder.rmdir()
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def keep_recipe(recipe: Recipe, out: Path) -> None:
    """Write the recipe into the run's folder; what it changes in a resumed run goes into the log as well.

    To be called by one process, once everything that the recipe names is built.
    """
    path = out / RECIPE
    changed = _changes(load_recipe(path), recipe) if path.exists() else {}
    if changed:
        with (out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"resumed_with": changed}) + "\n")
    save_recipe(recipe, path)


def _changes(old: TrainingRecipe, new: TrainingRecipe) -> dict[str, list[Any]]:
    """The options in which two recipes differ: [old, new] by name."""
    own, wanted = old.to_dict(), new.to_dict()
    return {key: [own[key], wanted.get(key)] for key in own if own[key] != wanted.get(key)}


def recipe_of_run(out: Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """The recipe of the run in a folder, with some options changed, to resume it by.

    Args:
        out: the run's folder.
        overrides: as for `smoothswap.training.recipe`; which ones a resumed run may have is checked when it starts.
            A validation on the data set that moves, moves along.

    Raises:
        InputError: the folder holds no run.
        UnknownNameError: no such option.
        ConfigError: a value that the option cannot have.
    """
    out = as_path(out, "the folder of a run")
    _check_run(out)
    saved, overrides = load_recipe(out / RECIPE), overrides or {}
    changed = apply_overrides(saved, overrides)
    if any(key.partition(".")[0] == "validation" for key in overrides):
        return changed
    return dataclasses.replace(changed, validation=moved_validation(saved, changed.data))


def moved_data(out: Path, place: Path) -> dict[str, str]:
    """The overrides that resume the run in a folder on data that have moved; see `overrides_for_moved`.

    Raises:
        InputError: the folder holds no run.
        ConfigError: the run's data have no place.
    """
    out = as_path(out, "the folder of a run")
    _check_run(out)
    return overrides_for_moved(load_recipe(out / RECIPE), place)


def _check_run(out: Path) -> None:
    path = out / RECIPE
    if not path.exists():
        raise InputError(
            f"no run to resume in {str(out)!r}", f"missing: {path}", hint="leave out --resume to start one there"
        )


def _make(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is no folder", hint="choose another name for the run's folder")
    output_folder(out, RECIPE, LAST)
