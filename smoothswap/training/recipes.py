"""Recipes: everything that decides how a training goes, as frozen dataclasses that check themselves.

The unit of progress is the image, not the step: lengths, schedules and intervals are counted in images, so they keep
their meaning when the batch size changes. A run's recipe is saved beside it as `recipe.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from smoothswap.core.config import Options, option
from smoothswap.core.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from smoothswap.core.files import from_json, write_aside
from smoothswap.core.names import did_you_mean
from smoothswap.data.augment import Augment
from smoothswap.training.best import MONITORS
from smoothswap.training.recipe_parts import DataShare, LossTerm, Part

Kind = Literal["embedder", "swapper"]


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe(Options):
    """What both kinds of training share."""

    name: str = option("custom", "name of the recipe")
    image_size: int = option(64, "side of the images, pixels; parts that have the option take it", at_least=8)
    data: Part = option(Part("faceworld"), "data set to train on")  # noqa: RUF009
    validation: Part | None = option(None, "data set to measure and draw samples on; none: no validation")  # noqa: RUF009
    images: int = option(1_000_000, "length of the training, images", at_least=1)
    accumulate: int = option(1, "parts a batch is computed in, to save memory", at_least=1)
    seed: int = option(0, "seed of weights, batches and augmentation", at_least=0)
    warmup_images: int = option(0, "the learning rate rises from 0 over this many images", at_least=0)
    decay: str = option("cosine", "course of the learning rate", choices=("cosine", "linear", "constant"))
    decay_floor: float = option(0.0, "last learning rate, as a share of the first", at_least=0, at_most=1)
    clip_gradients: float | None = option(None, "largest norm of a network's gradient; none: as it is", above=0)
    ema_half_life: int = option(10_000, "half-life of the averaged weights, images; 0: no averaging", at_least=0)
    ema_rampup: float = option(0.05, "the half-life is at most this share of the images seen", at_least=0)
    channels_last: bool = option(False, "keep images and weights in channels_last order")
    threads: int = option(0, "CPU threads; 0: as PyTorch chooses", at_least=0)
    workers: int = option(0, "processes that read the data; 0: none beside this one", at_least=0)
    log_every: int = option(2_000, "images between lines of the log", at_least=1)
    validate_every: int = option(50_000, "images between validations and sample sheets", at_least=1)
    checkpoint_every: int = option(50_000, "images between checkpoints", at_least=1)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            UnknownNameError: an option that the recipe does not have.
            ConfigError: a value that does not fit.
        """
        parts, groups, maps = part_names(cls), group_names(cls), map_names(cls)
        made = dict(values)
        for key, value in values.items():
            if key in parts and value is not None:
                made[key] = Part(value["name"], dict(value["options"]))
            elif key in groups:
                made[key] = groups[key].make(value)
            elif key in maps:
                made[key] = {name: maps[key].make(item) for name, item in value.items()}
        return cls.make(made)


@dataclass(frozen=True, kw_only=True)
class EmbedderRecipe(TrainingRecipe):
    """How an identity embedder is trained: batches of P people × K images each."""

    embedder: Part = option(Part("small_resnet"), "the embedder")  # noqa: RUF009
    loss: Part = option(Part("supcon"), "supcon, triplet, arcface, softmax, or a loss of the same form")  # noqa: RUF009
    people_per_batch: int = option(32, "P, people in a batch", at_least=2)
    images_per_person: int = option(4, "K, images of each of them", at_least=1)
    people_per_group: int = option(
        1, "people of one group of look-alikes that enter a batch together, where the data set has groups", at_least=1
    )
    optimizer: str = option("adamw", "optimiser", choices=("sgd", "adam", "adamw", "muon"))
    learning_rate: float = option(1e-3, "highest learning rate", above=0)
    momentum: float = option(
        0.9, "momentum of sgd, first beta of adam (of muon: for the small weights)", at_least=0, below=1
    )
    weight_decay: float = option(1e-4, "weight decay of matrices and kernels", at_least=0)
    monitor: str = option("auc", "figure of the validation by which weights are the best", choices=tuple(MONITORS))
    patience: int | None = option(
        None, "stop after so many validations without a better figure; none: go on to the end", at_least=1
    )
    validation_images: int = option(
        2_000, "about so many images of held-out people, and of training people, are measured", at_least=4
    )
    augment: Augment.Config = option(Augment.Config(), "random changes of the images; its options go by dotted name")  # noqa: RUF009

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience is not None and self.validation is None:
            raise ConfigError(
                f"patience cannot be {self.patience} without validation",
                "what counts is how often the validation finds nothing better",
                hint="name the data to measure on (validation.name=…), or leave patience out",
            )

    @property
    def batch_size(self) -> int:
        """Images in a batch, over all devices."""
        return self.people_per_batch * self.images_per_person


PAPER_LOSSES = {
    "adversarial": LossTerm("adversarial"),
    "identity": LossTerm("identity", weight=4.0),
    "change": LossTerm("change"),
}
"""The paper's: L_adv + λ_id·L_id + λ_chg·L_chg."""


@dataclass(frozen=True, kw_only=True)
class SwapperRecipe(TrainingRecipe):
    """How a generator is trained against a discriminator and a frozen embedder."""

    generator: Part = option(Part("smooth_unet_64"), "the generator")  # noqa: RUF009
    discriminator: Part = option(Part("stylegan2_64"), "the discriminator")  # noqa: RUF009
    losses: Mapping[str, LossTerm] = option(
        PAPER_LOSSES,
        "what the generator minimises: components of kind swap_loss by name, with their weights (λ_id, λ_chg, …)",
    )
    identity_embedders: tuple[str, ...] = option((), "further embedder files that judge the identity in the losses")
    mix: Mapping[str, DataShare] = option({}, "further data sets and their shares of a batch; `data` has the rest")
    batch_size: int = option(8, "target images in a batch, over all devices", at_least=1)
    self_pairs: int = option(1, "pairs of each part of a batch whose source is their target", at_least=0)
    optimizer: str = option("adam", "optimiser of the generator; the discriminator has adam", choices=("adam", "muon"))
    learning_rate: float = option(1e-3, "highest learning rate of the generator", above=0)
    discriminator_learning_rate: float = option(4e-3, "highest learning rate of the discriminator", above=0)
    betas: tuple[float, ...] = option((0.0, 0.99), "the two betas of Adam", at_least=0, below=1)
    augment_targets: float = option(
        0.0, "strength of random framing, light, colour and sharpness of targets and true swaps", at_least=0, at_most=1
    )
    augment_identity: float = option(0.0, "strength of shift, mirror and colour jitter before f", at_least=0, at_most=1)
    blur_identity: float = option(
        0.0, "largest standard deviation of a blur before f, pixels; the least is half of it", at_least=0, at_most=8
    )
    blend_identities: float = option(
        0.0,
        "share of the pairs without a known true swap whose identity lies between two sources",
        at_least=0,
        at_most=1,
    )
    jitter_identities: float = option(
        0.0,
        "length of a random change of each identity vector before the generator takes it, against what is drawn by "
        "vectors that are nobody's",
        at_least=0,
        at_most=2,
    )
    r1_gamma: float = option(1.0, "weight of the gradient penalty", at_least=0)
    r1_every: int = option(16, "steps between gradient penalties", at_least=1)
    copy_alarm_after: int = option(50_000, "images after which a copied target is an alarm", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.betas) != 2:
            raise ConfigError(f"option 'betas' of SwapperRecipe needs two numbers, got {self.betas!r}")
        if not self.losses:
            raise ConfigError("the recipe has no losses", hint="name one: losses.identity.weight=4")
        # The weights are straight lines between these, so a moment without any weight shows here.
        ends = {
            end for term in self.losses.values() for end in (0, term.changes_at, term.changes_at + term.changes_over)
        }
        for images in sorted(ends):
            if images < self.images and not any(term.weight_at(images) > 0 for term in self.losses.values()):
                raise ConfigError(
                    f"no loss has a weight after {images:,} images",
                    *(f"losses.{name}: {term.weight_at(images):g}" for name, term in self.losses.items()),
                    hint="give one a weight, or a weight_before",
                )
        total = sum(part.share for part in self.mix.values())
        if total >= 1:
            raise ConfigError(
                f"the shares of the further data sets add up to {total:g}",
                *(f"mix.{name}.share = {part.share:g}" for name, part in self.mix.items()),
                hint="choose shares that leave something of the batch to `data`",
            )


Recipe = EmbedderRecipe | SwapperRecipe
RECIPES: dict[Kind, type[EmbedderRecipe] | type[SwapperRecipe]] = {
    "embedder": EmbedderRecipe,
    "swapper": SwapperRecipe,
}


def part_names(cls: type[TrainingRecipe]) -> dict[str, str]:
    """The fields of a recipe class that hold a part, with the kind of component each names."""
    kinds = {"data": "dataset", "validation": "dataset"}
    types = get_type_hints(cls).items()
    return {name: kinds.get(name, name) for name, hint in types if hint is Part or Part in get_args(hint)}


def map_names(cls: type[TrainingRecipe]) -> dict[str, type[Part]]:
    """The fields of a recipe class that hold parts by a name of their own, with the class of each part."""
    types = {name: get_args(hint)[-1] for name, hint in get_type_hints(cls).items() if get_origin(hint) is Mapping}
    return {name: held for name, held in types.items() if isinstance(held, type) and issubclass(held, Part)}


KIND_OF_MAP = {"losses": "swap_loss", "mix": "dataset"}
"""What kind of component the parts of those fields name."""


def group_names(cls: type[TrainingRecipe]) -> dict[str, type[Options]]:
    """The fields of a recipe class that hold a group of options, with the class of each."""
    return {field.name: type(field.default) for field in fields(cls) if _is_group(field.default)}  # type: ignore[misc]


def _is_group(default: Any) -> bool:
    return isinstance(default, Options) and not isinstance(default, Part)


RECIPE = "recipe.json"
"""A run's recipe, in its folder."""


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as JSON, whole or not at all."""
    kind = next(kind for kind, cls in RECIPES.items() if isinstance(recipe, cls))
    with write_aside(path) as aside:
        aside.write_text(json.dumps({"kind": kind, **recipe.to_dict()}, indent=2) + "\n", encoding="utf-8")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe that `save_recipe` wrote.

    Raises:
        InputError: there is no such file.
        CheckpointError: it is no recipe, or one whose options this version does not know.
    """
    try:
        values = from_json(path.read_text(encoding="utf-8"))
        return RECIPES[values.pop("kind")].from_dict(values)
    except FileNotFoundError as cause:
        raise InputError(f"no recipe {str(path)!r}", hint="name the folder of a training run") from cause
    except OSError as cause:
        raise InputError(f"cannot read the recipe {str(path)!r}", cause.strerror or str(cause)) from cause
    except (ValueError, KeyError, TypeError, AttributeError, UnknownNameError) as cause:
        raise CheckpointError(f"{str(path)!r} is no recipe that can be read", *str(cause).splitlines()) from cause


def kind_named(kind: str) -> Kind:
    """The kind of training with this name.

    Raises:
        UnknownNameError: neither `embedder` nor `swapper`.
    """
    for known in get_args(Kind):
        if kind == known:
            return known  # type: ignore[no-any-return]
    raise UnknownNameError(
        f"unknown kind of training {kind!r}{did_you_mean(kind, RECIPES)}", f"kinds: {', '.join(RECIPES)}"
    )
