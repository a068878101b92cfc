"""Builds the parts that a recipe names, with the options that follow from the other parts filled in."""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric

from smoothswap.core.cache_folder import cache_folder
from smoothswap.core.catalogue import CATALOGUE, build
from smoothswap.core.errors import ConfigError
from smoothswap.core.interfaces import FaceDataset
from smoothswap.training.recipe_parts import Part


def build_part(part: Part, kind: str, **known: Any) -> Any:
    """Build a part; `known` fills in options that it has and that the recipe does not set.

    Errors as `smoothswap.build`.
    """
    names = {info.name for info in CATALOGUE.find(part.name, kind).resolve().Config.infos()}
    filled = {name: value for name, value in known.items() if name in names}
    return build(part.name, kind, **{**filled, **part.options})


def build_data(part: Part, image_size: int, fabric: Fabric | None = None) -> FaceDataset:
    """Build a data set and check that its pictures have the recipe's size.

    Pictures that have to be made first are kept in `cache_folder()`, unless the recipe names another place.

    Args:
        part: data set and options.
        image_size: S, pixels.
        fabric: of a training with several processes: the first makes what is missing, the others find it there.

    Raises:
        ConfigError: pictures of another size; other errors as `smoothswap.build`.
    """
    known = {"image_size": image_size, "cache": str(cache_folder())}
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
