"""Tiny recipes, so that a training of ten steps takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training.tiny import DATA, SIZE

import smoothswap
from smoothswap.training import EmbedderRecipe, Part, SwapperRecipe


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
