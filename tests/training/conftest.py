"""A tiny data set and tiny recipes, so that a training of ten steps takes a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import smoothswap
from smoothswap.core.catalogue import register
from smoothswap.core.config import Options, option
from smoothswap.training import EmbedderRecipe, Part, SwapperRecipe

SIZE = 16


@register("test_colours", kind="dataset")
class Colours:
    """People are colours; each of their pictures is noisier than the last."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        image_size: int = option(SIZE, "side, pixels")
        people: int = option(6, "people")
        each: int = option(4, "pictures of each")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.people = config.people
        self.labels = torch.arange(config.people).repeat_interleave(config.each)
        self.groups = torch.arange(config.people) // 2

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        person, size = index // self.config.each, self.config.image_size
        colour = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(person))
        noise = torch.rand(3, size, size, generator=torch.Generator().manual_seed(100 + index))
        return {"image": (255 * (0.7 * colour + 0.3 * noise)).to(torch.uint8), "person": person}


DATA = Part("test_colours")


@pytest.fixture
def embedder_recipe() -> Callable[..., EmbedderRecipe]:
    def make(**changes: Any) -> EmbedderRecipe:
        network = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "hidden": 16}
        options: dict[str, Any] = {
            "image_size": SIZE,
            "embedder": Part("small_resnet", network),
            "data": DATA,
            "people_per_batch": 4,
            "images_per_person": 2,
            "images": 80,
            "warmup_images": 16,
            "ema_half_life": 32,
            "log_every": 16,
            "validate_every": 10_000,
            "checkpoint_every": 10_000,
        }
        return EmbedderRecipe(**{**options, **changes})

    return make


@pytest.fixture
def swapper_recipe() -> Callable[..., SwapperRecipe]:
    def make(**changes: Any) -> SwapperRecipe:
        unet = {"base_channels": 8, "channel_multipliers": (1, 1), "blocks_per_level": 1, "attention_resolutions": ()}
        options: dict[str, Any] = {
            "image_size": SIZE,
            "generator": Part("smooth_unet", unet),
            "discriminator": Part("stylegan2", {"channel_base": 128, "channel_max": 8}),
            "data": DATA,
            "batch_size": 4,
            "images": 40,
            "r1_every": 3,
            "augment_identity": 0.5,
            "warmup_images": 8,
            "ema_half_life": 32,
            "log_every": 8,
            "validate_every": 10_000,
            "checkpoint_every": 10_000,
        }
        return SwapperRecipe(**{**options, **changes})

    return make


@pytest.fixture
def embedder_file(tmp_path: Path) -> Path:
    """An untrained embedder."""
    torch.manual_seed(1)
    options = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "hidden": 16}
    return smoothswap.save(smoothswap.build("small_resnet", input_size=SIZE, **options), tmp_path / "f.safetensors")
