"""A component that gives the wrong shape ends a training at its first batch, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training.tiny import SIZE

from smoothswap.core.catalogue import register
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.core.interfaces import FaceInput
from smoothswap.training import EmbedderRecipe, Part, SwapperRecipe, train_embedder, train_swapper


class _Declares(nn.Module):
    """Declares what it should, and gives images or means of them in another shape."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        image_size: int = option(SIZE, "side, pixels")
        identity_dim: int = option(8, "numbers of an identity")
        dim: int = option(8, "numbers of a vector")
        gives: int = option(8, "numbers that it gives")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_size, self.identity_dim, self.dim = config.image_size, config.identity_dim, config.dim
        self.expects = FaceInput("ffhq", SIZE)
        self.weight = nn.Parameter(torch.ones(1))


@register("test_wrong_vectors", kind="embedder")
class WrongVectors(_Declares):
    def forward(self, images: Tensor) -> Tensor:
        means = images.flatten(1)[:, : self.config.gives] * self.weight
        return nn.functional.normalize(means, dim=1)


@register("test_wrong_images", kind="generator")
class WrongImages(_Declares):
    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        return target[:, :, ::2, ::2] * self.weight


@register("test_wrong_logits", kind="discriminator")
class WrongLogits(_Declares):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3)) * self.weight


@pytest.mark.parametrize("gives", [5, 12])
def test_an_embedder_of_another_length_than_it_declares(
    embedder_recipe: Callable[..., EmbedderRecipe], tmp_path: Path, gives: int
) -> None:
    recipe = embedder_recipe(embedder=Part("test_wrong_vectors", {"gives": gives}))
    with pytest.raises(ArgumentError, match=rf"'test_wrong_vectors' gave \[8, {gives}\], expected \[8, 8\]"):
        train_embedder(recipe, tmp_path / "run", accelerator="cpu", progress=False)


@pytest.mark.parametrize(
    ("kind", "name", "shapes"),
    [
        ("generator", "test_wrong_images", r"\[4, 3, 8, 8\], expected \[4, 3, 16, 16\]"),
        ("discriminator", "test_wrong_logits", r"\[4\], expected \[4, 1\]"),
    ],
)
def test_a_swapper_of_wrong_parts(
    swapper_recipe: Callable[..., SwapperRecipe],
    embedder_file: Path,
    tmp_path: Path,
    kind: str,
    name: str,
    shapes: str,
) -> None:
    recipe = swapper_recipe(**{kind: Part(name)})
    with pytest.raises(ArgumentError, match=f"the {kind} '{name}' gave {shapes}"):
        train_swapper(recipe, tmp_path / "run", embedder=embedder_file, accelerator="cpu", progress=False)


@pytest.mark.parametrize("before", [None, [], ["notes.txt"], ["tensorboard"]])
def test_what_is_refused_at_the_first_batch_leaves_the_folder_as_it_was(
    embedder_recipe: Callable[..., EmbedderRecipe], tmp_path: Path, before: list[str] | None
) -> None:
    out = tmp_path / "made" / "run"
    if before is not None:
        out.mkdir(parents=True)
        for name in before:
            (out / name).mkdir()
    with pytest.raises(ArgumentError):
        train_embedder(
            embedder_recipe(embedder=Part("test_wrong_vectors", {"gives": 5})), out, accelerator="cpu", progress=False
        )
    assert (tmp_path / "made").exists() is (before is not None)
    if before is not None:
        assert sorted(path.name for path in out.iterdir()) == before
    train_embedder(embedder_recipe(images=8), out, accelerator="cpu", progress=False)
