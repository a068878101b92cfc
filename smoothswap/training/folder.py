"""A run's folder: who may write into it, and how a run is taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from smoothswap.core.errors import ConfigError, InputError, WorkError
from smoothswap.training.checkpoint import LAST, PREVIOUS
from smoothswap.training.recipes import RECIPES, Kind, TrainingRecipe, load_recipe

RECIPE = "recipe.json"
R = TypeVar("R", bound=TrainingRecipe)

# What may change when a run is taken up again: none of these alters a step that was already taken.
_FREE = {"images", "threads", "workers", "log_every", "validate_every", "checkpoint_every", "copy_alarm_after"}


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
        ConfigError: the folder holds a run and `resume` is off, or the recipe differs from the run's.
        InputError: there is nothing to resume, or the folder cannot be made.
    """
    path = out / RECIPE
    if not resume:
        if recipe is None:
            raise ConfigError("a new training needs a recipe", hint="smoothswap.training.recipe(kind, name) gives one")
        if path.exists() or (out / LAST).exists() or (out / PREVIOUS).exists():
            raise ConfigError(
                f"{str(out)!r} already holds a run",
                hint=f"continue it with `smoothswap train {kind} --out {out} --resume`, or choose another folder",
            )
        _make(out)
        return recipe
    if not path.exists():
        raise InputError(
            f"no run to resume in {str(out)!r}", f"missing: {path}", hint="leave out --resume to start one there"
        )
    saved = load_recipe(path)
    if not isinstance(saved, RECIPES[kind]):
        raise ConfigError(f"{str(out)!r} holds the training of another kind of model, not of the {kind}")
    if recipe is None:
        return saved  # type: ignore[return-value]
    own, wanted = saved.to_dict(), recipe.to_dict()
    facts = [
        f"{key}: {own.get(key)!r} in the run, {wanted.get(key)!r} now"
        for key in own
        if own.get(key) != wanted.get(key) and key not in _FREE
    ]
    if facts:
        raise ConfigError(
            f"the run in {str(out)!r} was started with another recipe",
            *facts,
            hint="resume it without naming a recipe or options, or start a new run in another folder",
        )
    return recipe


def _make(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is no folder", hint="choose another name for the run's folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise WorkError(f"could not make the folder {str(out)!r}", str(cause)) from cause
