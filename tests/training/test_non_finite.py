"""A training reports NaN and infinity where it looks for them, and every other error as what it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smoothswap
from smoothswap.core.config import Options
from smoothswap.core.errors import ArgumentError, InputError, WorkError
from smoothswap.training import EmbedderRecipe, Part, SwapperRecipe, train_embedder, train_swapper
from smoothswap.training.checkpoint import LAST, read_checkpoint
from smoothswap.training.health import check_weights
from smoothswap.training.recipe_parts import LossTerm

Trouble = Callable[["TroubledLoss", Tensor], Tensor]


class TroubledLoss(nn.Module):
    """A plugin's loss that has a trouble at its fifth step."""

    needs = ()

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """None."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float32))
        self.steps = 0

    def forward(self, first: Any, *_: Any) -> Tensor:
        """The mean square of vectors or of swapped faces."""
        self.steps += 1
        loss = (first if isinstance(first, Tensor) else first.swapped).square().mean() * self.weight
        return TROUBLE[-1](self, loss) if self.steps == 5 else loss


TROUBLE: list[Trouble] = []
for _kind in ("loss", "swap_loss"):
    smoothswap.register("test_troubled", kind=_kind)(TroubledLoss)


def raises(error: Exception) -> Trouble:
    def trouble(loss: TroubledLoss, value: Tensor) -> Tensor:
        raise error

    return trouble


def becomes(number: float) -> Trouble:
    return lambda loss, value: value * number


@pytest.fixture
def run(
    tmp_path: Path,
    embedder_recipe: Callable[..., EmbedderRecipe],
    swapper_recipe: Callable[..., SwapperRecipe],
    embedder_file: Path,
) -> Callable[..., Any]:
    """Train to the fifth step and beyond, saving after four steps and after eight."""

    def train(kind: str, trouble: Trouble) -> Any:
        TROUBLE.append(trouble)
        size = 8 if kind == "embedder" else 4
        every = {"checkpoint_every": 4 * size, "images": 16 * size, "warmup_images": 0}
        if kind == "embedder":
            recipe = embedder_recipe(loss=Part("test_troubled"), log_every=8 * size, **every)
            return train_embedder(recipe, tmp_path / "run", accelerator="cpu", progress=False)
        losses = {"sharp": LossTerm("test_troubled")}
        swapper = swapper_recipe(losses=losses, log_every=8 * size, augment_identity=0, **every)
        return train_swapper(swapper, tmp_path / "run", embedder=embedder_file, accelerator="cpu", progress=False)

    return train


def last_images(folder: Path) -> int:
    return int(read_checkpoint(folder / LAST)["images"])


@pytest.mark.parametrize("kind", ["embedder", "swapper"])
@pytest.mark.parametrize(
    "error", [ArgumentError("the mask has shape [3]"), InputError("a broken picture"), ZeroDivisionError("no pixels")]
)
def test_an_error_of_a_plugin_is_raised_as_itself(
    run: Callable[..., Any], tmp_path: Path, kind: str, error: Exception
) -> None:
    with pytest.raises(type(error)) as raised:
        run(kind, raises(error))
    assert raised.value is error
    assert last_images(tmp_path / "run") == (32 if kind == "embedder" else 16)


@pytest.mark.parametrize(("kind", "name"), [("embedder", "loss (test_troubled)"), ("swapper", "loss_sharp")])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_named(
    run: Callable[..., Any], tmp_path: Path, kind: str, name: str, number: float
) -> None:
    seen = 64 if kind == "embedder" else 32
    with pytest.raises(WorkError, match=f"diverged after {seen} images") as raised:
        run(kind, becomes(number))
    assert f"{name} = " in str(raised.value)
    assert "go on from the last checkpoint" in str(raised.value)
    assert last_images(tmp_path / "run") == seen // 2


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_weight_that_is_not_finite_is_not_saved(run: Callable[..., Any], tmp_path: Path, number: float) -> None:
    digest = ""

    def trouble(loss: TroubledLoss, value: Tensor) -> Tensor:
        nonlocal digest
        digest = hashlib.sha256((tmp_path / "run" / LAST).read_bytes()).hexdigest()
        loss.register_buffer("seen", torch.tensor(number, dtype=torch.float32))
        return value

    with pytest.raises(WorkError, match="diverged after 64 images") as raised:
        run("embedder", trouble)
    assert f"loss.seen = {number}" in str(raised.value)
    assert hashlib.sha256((tmp_path / "run" / LAST).read_bytes()).hexdigest() == digest


def test_every_weight_is_looked_at() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    check_weights({"generator": network}, 8)
    network[1].running_var[0] = math.inf
    with pytest.raises(WorkError, match="generator.1.running_var = inf"):
        check_weights({"generator": network}, 8)
    check_weights({"nothing": nn.Identity()}, 8)
