"""What a training that diverged proposes is a command that works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from smoothswap.cli import main
from smoothswap.core.errors import WorkError
from smoothswap.training import EmbedderRecipe, SwapperRecipe, recipe_of_run, train_embedder, train_swapper

Make = Callable[..., EmbedderRecipe]


def command(error: pytest.ExceptionInfo[WorkError]) -> list[str]:
    found = re.search(r"`smoothswap (.*)`", str(error.value))
    assert found is not None
    return shlex.split(found[1])


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0)


@pytest.mark.parametrize("saved", [False, True])
def test_the_proposed_command_is_taken(tmp_path: Path, embedder_recipe: Make, saved: bool) -> None:
    out = tmp_path / "a run"  # with a space, which a shell would split
    recipe = embedder_recipe(learning_rate=1e-3 if saved else 1e30, images=32, validation=None, warmup_images=0)
    if saved:
        train_embedder(recipe, out, accelerator="cpu", progress=False)
        recipe = recipe_of_run(out, {"learning_rate": "1e30", "images": "64"})
    with pytest.raises(WorkError, match="diverged") as error:
        train_embedder(recipe, out, resume=saved, accelerator="cpu", progress=False)
    assert ("go on from the last checkpoint" if saved else "there is no checkpoint yet: start again") in str(
        error.value
    )
    words = command(error)
    assert words[:4] == ["train", "embedder", "--out", str(out)]
    assert "clip_gradients=1" in words
    words[words.index("learning_rate=1e+29")] = "learning_rate=0.001"
    assert run([*words, "--accelerator", "cpu", "--no-progress"]) == 0
    assert recipe_of_run(out).learning_rate == 1e-3


def test_what_alarms_of_a_swapper_propose_is_taken(
    tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path
) -> None:
    out = tmp_path / "run"
    train_swapper(swapper_recipe(images=8), out, embedder=embedder_file, accelerator="cpu", progress=False)
    changes = {"discriminator_learning_rate": "0.001", "r1_gamma": "5", "losses.change.weight": "0.5", "images": "16"}
    result = train_swapper(recipe_of_run(out, changes), out, resume=True, accelerator="cpu", progress=False)
    assert result.images == 16
