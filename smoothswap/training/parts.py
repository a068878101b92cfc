"""Builds the parts that a recipe names, with the options that follow from the other parts filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_fabric import Fabric

from smoothswap.core.cache_folder import cache_folder
from smoothswap.core.catalogue import CATALOGUE, build_with
from smoothswap.core.config import Options
from smoothswap.core.errors import ConfigError
from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.core.interfaces import FaceDataset
from smoothswap.training.recipe_parts import Part


def build_part(part: Part, kind: str, **known: Any) -> Any:
    """Build a part; `known` fills in options that it has and that the recipe does not set.

    Errors as `smoothswap.build`.
    """
    return build_with(part.name, kind, _filled(part, kind, known))


def check_part(part: Part, kind: str, **known: Any) -> Options:
    """Check a part's options without building it, and give them as the component would get them.

    Args:
        part: the part.
        kind: of component.
        known: as for `build_part`.

    Raises:
        UnknownNameError, ConfigError, PluginError: as `smoothswap.build`.
    """
    row = CATALOGUE.find(part.name, kind)
    options: Options = row.resolve().Config.make({**row.defaults, **_filled(part, kind, known)})
    return options


def options_of(name: str, kind: str) -> type[Options]:
    """The class of a component's options.

    Raises:
        UnknownNameError: no such component.
    """
    config: type[Options] = CATALOGUE.find(name, kind).resolve().Config
    return config


def option_names(config: type[Options]) -> set[str]:
    """The names of the options of such a class."""
    return {info.name for info in config.infos()}


def _filled(part: Part, kind: str, known: Mapping[str, Any]) -> dict[str, Any]:
    names = option_names(options_of(part.name, kind))
    return {**{name: value for name, value in known.items() if name in names}, **part.options}


def check_data(part: Part, image_size: int, crop: FaceCrop = FFHQ) -> set[str] | None:
    """Check a data set's options before it is built, which may take minutes.

    Args:
        part: data set and options.
        image_size: S, pixels.
        crop: what its pictures must show.

    Returns:
        What it will know beside pictures; None where its class does not say so (see `FaceDataset`).

    Raises:
        UnknownNameError, ConfigError, PluginError: as `smoothswap.build`.
    """
    options = check_part(part, "dataset", **_known_of_data(image_size, crop))
    own = getattr(options, "face_crop", FFHQ)
    if own != crop:
        raise ConfigError(
            f"the data set {part.name!r} shows the crop {own} of a face, and {crop} is needed",
            hint="leave its crop_template and crop_scale to the generator; a data set without these options shows ffhq",
        )
    knows = getattr(CATALOGUE.find(part.name, "dataset").resolve(), "knows", None)
    return None if knows is None else set(knows(options))


def _known_of_data(image_size: int, crop: FaceCrop) -> dict[str, Any]:
    own = {"crop_template": crop.template, "crop_scale": crop.scale}
    return {"image_size": image_size, "cache": str(cache_folder()), **own}


def build_data(part: Part, image_size: int, fabric: Fabric | None = None, *, crop: FaceCrop = FFHQ) -> FaceDataset:
    """Build a data set and check that its pictures have the recipe's size.

    Pictures that have to be made first are kept in `cache_folder()`, unless the recipe names another place.

    Args:
        part: data set and options.
        image_size: S, pixels.
        fabric: of a training with several processes: the first makes what is missing, the others find it there.
        crop: what the pictures show, where the data set can be told.

    Raises:
        ConfigError: pictures of another size; other errors as `smoothswap.build`.
    """
    known = _known_of_data(image_size, crop)
    if fabric is None:
        dataset: FaceDataset = build_part(part, "dataset", **known)
    else:
        with fabric.rank_zero_first():
            dataset = build_part(part, "dataset", **known)
    shape = tuple(dataset[0]["image"].shape)
    if shape != (3, image_size, image_size):
        raise ConfigError(
            f"the data set {part.name!r} gives pictures of {shape}, the recipe wants (3, {image_size}, {image_size})",
            hint="leave the size to the recipe's image_size",
        )
    return dataset


def share(total: int, world_size: int, accumulate: int, what: str) -> int:
    """What one process takes of a batch.

    Raises:
        ConfigError: the batch does not split evenly over processes and accumulated parts.
    """
    if total % (world_size * accumulate):
        raise ConfigError(
            f"{total} {what} a batch cannot be split into {world_size} processes × {accumulate} parts",
            hint=f"choose a multiple of {world_size * accumulate}, or another accumulate",
        )
    return total // world_size
