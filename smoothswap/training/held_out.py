"""The held-out data of a recipe. Built at the start, so that data without use end a run before its first step."""

from __future__ import annotations

from collections.abc import Mapping

from lightning_fabric import Fabric

from smoothswap.core.errors import InputError
from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.core.interfaces import FaceDataset
from smoothswap.training.parts import build_data
from smoothswap.training.recipes import TrainingRecipe


def describe_data(training: Mapping[str, FaceDataset], held_out: FaceDataset | None) -> str:
    """How many persons and images are trained on, by the name of each data set, and how many are held out."""
    said = ", ".join(f"{_counted(dataset)} ({name})" for name, dataset in training.items())
    return f"{said}; held out: {'nothing' if held_out is None else _counted(held_out)}"


def _counted(dataset: FaceDataset) -> str:
    people, images = dataset.people, len(dataset)
    return f"{images:,} image{'s' * (images != 1)} of {people:,} person{'s' * (people != 1)}"


def build_held_out(recipe: TrainingRecipe, fabric: Fabric, *, crop: FaceCrop = FFHQ) -> FaceDataset | None:
    """Build the data set that a recipe validates on; None where it validates on none.

    To be called in every process, so that data that cannot be used end all of them at once.

    Args:
        recipe: names the data.
        fabric: of the training.
        crop: what the pictures show.

    Raises:
        InputError: the data cannot be read, or too little is held out; the message says what to set.
        ConfigError: images of another size.
    """
    if recipe.validation is None:
        return None
    try:
        return build_data(recipe.validation, recipe.image_size, fabric, crop=crop)
    except InputError as cause:
        raise InputError(
            f"no data to validate on: {cause.what}",
            *cause.facts,
            hint="hold out more of the data (--set data.held_out=0.3), or train without measuring "
            "(--set validation=none)",
        ) from cause
