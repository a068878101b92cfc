"""What a loss of the embedder needs beside vectors and labels: attributes of people, where the data set knows them."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.errors import ConfigError, InputError
from smoothswap.core.interfaces import FaceDataset
from smoothswap.training.needs import declared_needs
from smoothswap.training.recipe_parts import Part
from smoothswap.training.recipes import EmbedderRecipe

_NEEDS = ("attributes",)


def needs_of_loss(loss: Part) -> set[str]:
    """What the class of a loss declares in `needs`: nothing, or "attributes".

    Raises:
        UnknownNameError: no such loss.
        PluginError: it declares a need that there is not.
    """
    return set(declared_needs(CATALOGUE.find(loss.name, "loss").resolve(), repr(loss.name), _NEEDS))


def attributes_of(data: FaceDataset, recipe: EmbedderRecipe) -> Tensor:
    """Numbers known of each person of a data set, float32 [people, A].

    Raises:
        ConfigError: the data set knows none.
        InputError: not one row for each person, or not finite.
    """
    known = getattr(data, "attributes", None)
    if known is None:
        raise no_attributes(recipe)
    attributes = torch.as_tensor(known, dtype=torch.float32)
    if attributes.dim() != 2 or len(attributes) != data.people or not attributes.shape[1]:
        raise InputError(
            f"the attributes of {recipe.data.name!r} have shape {list(attributes.shape)}, but [{data.people}, A] is "
            "needed: a row of numbers for each person"
        )
    if not bool(attributes.isfinite().all()):
        raise InputError(f"the attributes of {recipe.data.name!r} hold NaN or infinite values")
    return attributes


def no_attributes(recipe: EmbedderRecipe) -> ConfigError:
    """The error to raise where the loss reads attributes and the data set knows none."""
    return ConfigError(
        f"the loss {recipe.loss.name!r} reads attributes of people, which {recipe.data.name!r} does not know",
        hint="train on faceworld or faceworld_swaps, or with another loss: --loss supcon",
    )
