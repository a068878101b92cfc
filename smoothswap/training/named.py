"""The recipes that have a name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from smoothswap.core.errors import ConfigError, UnknownNameError
from smoothswap.core.files import as_path
from smoothswap.core.names import did_you_mean
from smoothswap.data.augment import Augment
from smoothswap.training.overrides import apply_overrides
from smoothswap.training.recipe_parts import LossTerm, Part
from smoothswap.training.recipes import (
    RECIPE,
    RECIPES,
    EmbedderRecipe,
    Kind,
    Recipe,
    SwapperRecipe,
    kind_named,
    load_recipe,
)
from smoothswap.training.recipes_photographs import swapper_photos_64, swapper_photos_128

_FACEWORLD = Part(
    "faceworld",
    {"groups": 100, "people_per_group": 12, "images_per_person": 10, "workers": 2},
)
_FACEWORLD_HELD_OUT = Part(
    "faceworld",
    {
        "split": "held_out_people",
        "groups": 32,
        "people_per_group": 4,
        "images_per_person": 6,
        "workers": 2,
    },
)
GUIDED_WORLD = Part("faceworld_swaps", {"groups": 2000, "people_per_group": 4, "pictures_per_person": 5, "workers": 2})
"""40,000 pictures of 8,000 people in 2,000 colourings, with their true swaps."""


def embedder_faceworld_64() -> EmbedderRecipe:
    """A small embedder on rendered heads: minutes on two CPU cores."""
    return EmbedderRecipe(
        name="faceworld_64",
        image_size=64,
        embedder=Part("small_resnet"),
        loss=Part("supcon", {"temperature": 0.1}),
        data=_FACEWORLD,
        validation=_FACEWORLD_HELD_OUT,
        images=120_000,
        # Eight of a batch's people share their colouring, so that shape is what tells them apart.
        people_per_batch=32,
        people_per_group=8,
        # Marks and partings have a side, and colour is part of a person.
        augment=Augment.Config(flip=0.0, brightness=0.1, saturation=0.1, tint=0.02),
        warmup_images=4_000,
        decay_floor=0.01,
        validate_every=20_000,
        checkpoint_every=20_000,
    )


def embedder_faceworld_64_judge() -> EmbedderRecipe:
    """An embedder of another shape and seed, to judge the swaps of a generator that never saw it."""
    small = Part("small_resnet", {"dim": 128, "widths": (24, 48, 96, 160), "blocks": (2, 1, 1, 1), "flat_channels": 64})
    recipe = embedder_faceworld_64()
    return replace(recipe, name="faceworld_64_judge", embedder=small, images=64_000, seed=1)


def embedder_faceworld_64_guided() -> EmbedderRecipe:
    """An embedder that is told the factors of rendered people beside who they are: twenty minutes on a CPU core.

    Thousands of colourings instead of a hundred: what is learnt of a few does not hold for those never seen.
    """
    return EmbedderRecipe(
        name="faceworld_64_guided",
        image_size=64,
        embedder=Part("small_resnet", {"widths": (48, 96, 192, 256), "blocks": (1, 2, 2, 1), "hidden": 512}),
        loss=Part("supcon_attributes", {"temperature": 0.1, "weight": 6.0}),
        data=replace(GUIDED_WORLD, options={**GUIDED_WORLD.options, "pairs": False}),
        validation=_FACEWORLD_HELD_OUT,
        images=300_000,
        people_per_batch=32,
        people_per_group=4,
        augment=Augment.Config(flip=0.0, brightness=0.05, saturation=0.05, tint=0.01),
        optimizer="muon",
        learning_rate=2e-3,
        warmup_images=4_000,
        decay_floor=0.01,
        channels_last=True,
        validate_every=40_000,
        checkpoint_every=20_000,
    )


def embedder_paper_256() -> EmbedderRecipe:
    """The paper's embedder: ResNet-50 on VGGFace2, cropped the FFHQ way; set `data.folder`.

    The paper names network, loss and data; optimiser, batch, temperature and length are not known.
    """
    return EmbedderRecipe(
        name="paper_256",
        image_size=256,
        embedder=Part("smooth_resnet50"),
        loss=Part("supcon", {"temperature": 0.07}),
        data=Part("identity_folder", {"folder": "vggface2"}),
        images=30_000_000,
        people_per_batch=64,
        images_per_person=4,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=1e-4,
        warmup_images=300_000,
        ema_half_life=50_000,
        channels_last=True,
        workers=8,
        log_every=10_000,
        validate_every=500_000,
        checkpoint_every=500_000,
    )


def swapper_faceworld_64() -> SwapperRecipe:
    """A small generator on rendered heads: about an hour on two CPU cores."""
    return SwapperRecipe(
        name="faceworld_64",
        image_size=64,
        generator=Part("smooth_unet_64"),
        discriminator=Part("stylegan2_64"),
        data=_FACEWORLD,
        validation=_FACEWORLD_HELD_OUT,
        images=26_000,
        batch_size=8,
        discriminator_learning_rate=2e-3,
        losses={
            "adversarial": LossTerm("adversarial"),
            "identity": LossTerm("identity", weight=4.0),
            # Lower at first: a large λ_chg from the start keeps the generator at the identity map.
            "change": LossTerm("change", weight=2.0, weight_before=0.25, changes_at=10_000),
        },
        augment_identity=0.3,
        channels_last=True,
        warmup_images=400,
        decay_floor=0.05,
        ema_half_life=4_000,
        log_every=400,
        validate_every=2_000,
        checkpoint_every=2_000,
        copy_alarm_after=10_000,
    )


def swapper_faceworld_64_guided() -> SwapperRecipe:
    """A generator that is told the true swaps of rendered heads: an hour on a CPU core.

    It needs the extra `frozen-features`, for the loss `features`.
    """
    return SwapperRecipe(
        name="faceworld_64_guided",
        image_size=64,
        generator=Part("smooth_unet_64_blend"),
        discriminator=Part("stylegan2_64"),
        data=GUIDED_WORLD,
        validation=Part(
            "faceworld_swaps",
            {"split": "held_out_people", "groups": 32, "people_per_group": 4, "pictures_per_person": 2, "workers": 2},
        ),
        images=160_000,
        batch_size=16,
        optimizer="muon",
        learning_rate=1.5e-3,
        betas=(0.9, 0.99),
        losses={
            # First where the pixels go, then how sharp they are and who it is: an identity loss that comes early is
            # pleased by colours.
            "truth": LossTerm("truth", weight=10.0),
            "features": LossTerm("features", weight=1.0, changes_at=60_000, changes_over=40_000),
            "identity": LossTerm("identity", weight=0.5, changes_at=80_000, changes_over=40_000),
        },
        augment_identity=0.5,
        channels_last=True,
        warmup_images=1_600,
        decay_floor=0.02,
        ema_half_life=6_000,
        log_every=2_000,
        validate_every=10_000,
        checkpoint_every=10_000,
        copy_alarm_after=100_000,
    )


def swapper_faceworld_128_guided() -> SwapperRecipe:
    """The same at 128 px for a GPU, which draws the heads itself: `make gpu-train`.

    Length, weights and networks are choices that no run has tried yet.
    """
    blend = {
        "patch": 2,
        "output": "blend",
        "block": "ddpm",
        "resample_with_convolution": False,
        "injection": "adagn",
        "scene_dim": 256,
        "base_channels": 48,  # as float16 the file has 12.5 MiB, and may have 16
        "channel_multipliers": (1, 2, 2, 3),
        "blocks_per_level": 1,
        "attention_resolutions": (16, 8),
    }
    return SwapperRecipe(
        name="faceworld_128_guided",
        image_size=128,
        generator=Part("smooth_unet", blend),
        discriminator=Part("stylegan2", {"channel_base": 4096, "channel_max": 256}),
        data=Part(
            "faceworld_swaps", {"groups": 1000, "people_per_group": 10, "pictures_per_person": 10, "cache": None}
        ),
        validation=Part(
            "faceworld_swaps",
            {
                "split": "held_out_people",
                "groups": 32,
                "people_per_group": 4,
                "pictures_per_person": 2,
                "cache": None,
            },
        ),
        images=480_000,
        batch_size=64,
        optimizer="muon",
        learning_rate=1.5e-3,
        discriminator_learning_rate=1e-3,
        betas=(0.9, 0.99),
        losses={
            "truth": LossTerm("truth", weight=10.0),
            "identity": LossTerm("identity", weight=1.0, changes_at=80_000, changes_over=80_000),
            # Last, for the sharpness that a distance in pixels does not reward.
            "adversarial": LossTerm("adversarial", weight=0.1, changes_at=240_000, changes_over=80_000),
        },
        augment_identity=0.5,
        channels_last=True,
        warmup_images=6_400,
        decay_floor=0.02,
        ema_half_life=20_000,
        log_every=640,
        validate_every=64_000,
        checkpoint_every=64_000,
        copy_alarm_after=160_000,
    )


def swapper_faceworld_64_sharpen() -> SwapperRecipe:
    """A second stage for a generator of `faceworld_64_guided`, to start from it: eyes and mouths against the blur.

    A discriminator that came earlier would see nothing but blur. It learns slowly: 10,000 images give half of the
    detail that is missing, 120,000 give all of it and half a decibel.
    """
    guided = swapper_faceworld_64_guided()
    return replace(
        guided,
        name="faceworld_64_sharpen",
        discriminator=Part("stylegan2_64", {"channel_base": 2048}),
        images=120_000,
        learning_rate=1e-3,
        discriminator_learning_rate=4e-3,
        betas=(0.0, 0.99),
        losses={
            "truth": LossTerm("truth", weight=10.0),
            "features": LossTerm("features"),
            "identity": LossTerm("identity", weight=0.5),
            "adversarial": LossTerm("adversarial", weight=0.5),
        },
        r1_gamma=0.1,
        warmup_images=1_600,
        ema_half_life=3_000,
        validate_every=10_000,
        checkpoint_every=10_000,
    )


def swapper_paper_256() -> SwapperRecipe:
    """The paper's swapper: NCSN++ U-Net against StyleGAN2's discriminator on FFHQ; set `data.folder`.

    Batch, length, R1 weight and averaging are not known.
    """
    return SwapperRecipe(
        name="paper_256",
        image_size=256,
        generator=Part("smooth_unet"),
        discriminator=Part("stylegan2"),
        data=Part("image_folder", {"folder": "ffhq256"}),
        images=10_000_000,
        batch_size=32,
        warmup_images=20_000,
        decay="constant",
        ema_half_life=20_000,
        workers=8,
        log_every=5_000,
        validate_every=100_000,
        checkpoint_every=100_000,
        copy_alarm_after=500_000,
    )


_NAMED: dict[Kind, dict[str, Callable[[], Recipe]]] = {
    "embedder": {
        "faceworld_64": embedder_faceworld_64,
        "faceworld_64_guided": embedder_faceworld_64_guided,
        "faceworld_64_judge": embedder_faceworld_64_judge,
        "paper_256": embedder_paper_256,
    },
    "swapper": {
        "faceworld_64": swapper_faceworld_64,
        "faceworld_64_guided": swapper_faceworld_64_guided,
        "faceworld_64_sharpen": swapper_faceworld_64_sharpen,
        "faceworld_128_guided": swapper_faceworld_128_guided,
        "photos_64": swapper_photos_64,
        "photos_128": swapper_photos_128,
        "paper_256": swapper_paper_256,
    },
}


# What a loss needs beyond its own defaults, where it is put into a recipe in place of the recipe's own. ArcFace's
# s = 64 and m = 0.5 are for thousands of people and millions of pictures: on FaceWorld the vectors stay near chance.
_ON_FACEWORLD = {
    "arcface": {"loss.scale": "16", "loss.margin": "0.1"},
    "triplet": {"loss.mining": "semi_hard"},
}
_FOR_LOSS = {"faceworld_64": _ON_FACEWORLD, "faceworld_64_judge": _ON_FACEWORLD}


def recipe_names(kind: str) -> list[str]:
    """Names of the recipes for `embedder` or `swapper`."""
    return list(_NAMED[kind_named(kind)])


def recipe(kind: str, name: str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """A named recipe, with some options changed.

    Args:
        kind: `embedder` or `swapper`.
        name: one of `recipe_names(kind)`; or the path of a `recipe.json` that a training wrote, or of its folder.
        overrides: values as text by dotted name, such as `{"generator.base_channels": "32", "batch_size": "8"}`.

    Raises:
        UnknownNameError: no such kind, recipe, option or component; the message suggests the nearest name.
        ConfigError: a value that the option cannot have, or a file with the recipe of another kind.
        InputError, CheckpointError: a file that is missing, or no recipe.
    """
    made, wanted = _recipe(kind_named(kind), name), dict(overrides or {})
    if isinstance(made, EmbedderRecipe) and wanted.get("loss.name", made.loss.name) != made.loss.name:
        wanted = _FOR_LOSS.get(made.name, {}).get(wanted["loss.name"], {}) | wanted
    return apply_overrides(made, wanted)


def is_recipe_file(name: str) -> bool:
    """Whether this is meant as a path: it ends in .json, names a folder on the way, or something there is called so."""
    return name.endswith(".json") or len(Path(name).parts) > 1 or os.path.isdir(name)  # noqa: PTH112 (takes any)


def _recipe(kind: Kind, name: str) -> Recipe:
    recipes = _NAMED[kind]
    if name in recipes:
        return recipes[name]()
    if not is_recipe_file(name):
        raise UnknownNameError(
            f"unknown {kind} recipe {name!r}{did_you_mean(name, recipes)}",
            f"recipes: {', '.join(recipes)}",
            hint="or give the path of a recipe.json that a training wrote",
        )
    path = as_path(name, "the recipe")
    path = path / RECIPE if path.is_dir() else path
    made = load_recipe(path)
    if not isinstance(made, RECIPES[kind]):
        raise ConfigError(f"{str(path)!r} is the recipe of another kind of model, not of the {kind}")
    return made
