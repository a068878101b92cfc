"""Pairs that the data set draws on the device, and what of a step in bfloat16 is computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from smoothswap.core.catalogue import register
from smoothswap.core.config import Options
from smoothswap.data.faceworld import swaps
from smoothswap.data.faceworld.swaps import FaceWorldSwaps
from smoothswap.losses.swap_batch import Need, SwapBatch
from smoothswap.training import LossTerm, Part, SwapperRecipe, load_recipe, recipe, train_swapper
from smoothswap.training.recipes import save_recipe
from smoothswap.training.swap_inputs import _Drawn, _Pairs, _Place

WORLD: dict[str, Any] = {
    "image_size": 16,
    "supersample": 1,
    "groups": 2,
    "people_per_group": 4,
    "pictures_per_person": 2,
    "cache": None,
}
PLACE = _Place(0, 1, torch.device("cpu"), torch.contiguous_format, 0)


def test_the_same_pairs_as_read_and_taken_up_again() -> None:
    dataset = FaceWorldSwaps(FaceWorldSwaps.Config(**WORLD))
    drawn, read = _Drawn(dataset, 4, 7, PLACE), _Pairs(dataset, 4, 7, PLACE)
    for _ in range(3):
        state = drawn.state()
        a, b = drawn.next(), read.next()
        for name in ("target", "source", "truth", "face", "head"):
            assert (getattr(a, name) - getattr(b, name)).abs().max() <= 1.01 / 127.5, name
    assert drawn.state() == read.state(), "a run may go on with the other"
    again = _Drawn(dataset, 4, 7, PLACE)
    again.restore(state)
    assert torch.equal(again.next().target, a.target)


@register("test_precisions", kind="swap_loss")
class Precisions:
    """Notes what it gets."""

    needs: tuple[Need, ...] = ("truth", "masks", "identity", "logits")
    seen: ClassVar[list[Any]] = []

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """None."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, batch: SwapBatch) -> torch.Tensor:
        assert batch.truth is not None
        assert batch.face is not None
        assert batch.logits is not None
        tensors = batch.swapped, batch.truth, batch.face, batch.z_swapped[0], batch.z_source[0], batch.logits
        self.seen.extend(tensor.dtype for tensor in tensors)
        self.seen.append(torch.is_autocast_enabled("cpu"))
        return (batch.swapped - batch.truth).square().mean() + batch.logits.mean() * 0


def test_in_bfloat16_the_renderer_and_the_losses_stay_in_float32(
    tmp_path: Path,
    swapper_recipe: Callable[..., SwapperRecipe],
    embedder_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Any] = []
    usual = swaps.render

    def render(*args: Any) -> Any:
        made = usual(*args)
        drawn.extend([made.image.dtype, torch.is_autocast_enabled("cpu")])
        return made

    monkeypatch.setattr(swaps, "render", render)
    Precisions.seen.clear()
    made = swapper_recipe(
        data=Part("faceworld_swaps", WORLD), losses={"noted": LossTerm("test_precisions")}, images=8, self_pairs=0
    )
    result = train_swapper(
        made, tmp_path / "run", embedder=embedder_file, accelerator="cpu", precision="bf16-mixed", progress=False
    )
    assert result.finished
    for noted in (drawn, Precisions.seen):
        assert set(noted) == {torch.float32, False}


@pytest.mark.parametrize("name", ["faceworld_64_guided", "faceworld_128_guided"])
def test_the_guided_recipes(tmp_path: Path, name: str) -> None:
    made = recipe("swapper", name)
    assert isinstance(made, SwapperRecipe)
    assert made.image_size == int(name.split("_")[1])
    save_recipe(made, tmp_path / "recipe.json")
    assert load_recipe(tmp_path / "recipe.json") == made
    # Drawn by the GPU that trains, or kept on disk for a processor.
    assert ("cache" in made.data.options) == (name == "faceworld_128_guided")
    first, last = made.losses["identity"].weight_at(0), made.losses["identity"].weight_at(made.images)
    assert first == 0 < last
