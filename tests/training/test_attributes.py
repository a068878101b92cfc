"""Losses of the embedder that read attributes of people: what they get, what is trained, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor
from training.tiny import DATA, KNOWN, Colours, KnownColours

import smoothswap
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.errors import ConfigError, InputError, PluginError
from smoothswap.losses.supcon_attributes import SupConAttributesLoss
from smoothswap.training import EmbedderRecipe, Part, train_embedder
from smoothswap.training.checkpoint import LAST, read_checkpoint
from smoothswap.training.embedder import EmbedderWork

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
LOSS = Part("supcon_attributes", {"temperature": 0.1})
Make = Callable[..., EmbedderRecipe]


@pytest.fixture(autouse=True)
def _own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers does not reach the others."""
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)


def work_of(recipe: EmbedderRecipe) -> EmbedderWork:
    return EmbedderWork(recipe, Fabric(accelerator="cpu", devices=1))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_loss_gets_the_attributes_of_its_images_people(
    embedder_recipe: Make, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    original = SupConAttributesLoss.forward

    def forward(self: SupConAttributesLoss, z: Tensor, labels: Tensor, attributes: Tensor) -> Tensor:
        seen.append((labels, attributes))
        return original(self, z, labels, attributes)

    monkeypatch.setattr(SupConAttributesLoss, "forward", forward)
    work = work_of(embedder_recipe(data=KNOWN, loss=LOSS, accumulate=accumulate))
    known = smoothswap.build(KNOWN.name, "dataset").attributes
    work.step(0)
    assert len(seen) == accumulate
    for labels, attributes in seen:
        assert len(labels) == 8 // accumulate
        assert torch.equal(attributes, known[labels])


def test_the_vectors_learn_what_is_known(tmp_path: Path, embedder_recipe: Make) -> None:
    recipe = embedder_recipe(data=KNOWN, loss=Part(LOSS.name, {"weight": 10.0}), images=640, learning_rate=3e-3)
    first = work_of(recipe)
    result = train_embedder(recipe, tmp_path / "run", **CPU)
    state = read_checkpoint(tmp_path / "run" / LAST)["work"]
    assert state["loss"]["readout.weight"].shape == (3, 8)
    assert (state["loss"]["readout.weight"] - first.loss.state_dict()["readout.weight"]).abs().max() > 0.01
    assert result.metrics["loss"] < 0.5 * float(first.step(0)["loss"])
    # The readout is no part of the model.
    assert set(smoothswap.load(result.path).state_dict()) == set(first.embedder.state_dict())


def test_a_data_set_that_knows_none_is_refused(tmp_path: Path, embedder_recipe: Make) -> None:
    with pytest.raises(ConfigError) as error:
        train_embedder(embedder_recipe(loss=LOSS), tmp_path / "new" / "run", **CPU)
    assert str(error.value) == (
        "the loss 'supcon_attributes' reads attributes of people, which 'test_colours' does not know\n"
        "train on faceworld or faceworld_swaps, or with another loss: --loss supcon"
    )
    assert list(tmp_path.iterdir()) == []
    # And attributes that no loss reads do no harm.
    train_embedder(embedder_recipe(data=KNOWN, images=8), tmp_path / "run", **CPU)


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (torch.zeros(5, 3), r"have shape \[5, 3\], but \[6, A\] is needed"),
        (torch.zeros(6), r"have shape \[6\], but"),
        (torch.zeros(6, 0), r"have shape \[6, 0\], but"),
        (torch.full((6, 2), torch.nan), "hold NaN or infinite values"),
    ],
)
def test_attributes_that_cannot_be_read(embedder_recipe: Make, known: Tensor, text: str) -> None:
    def build(self: Colours, config: Colours.Config) -> None:
        Colours.__init__(self, config)
        self.attributes = known  # type: ignore[attr-defined]

    smoothswap.register("test_ill_known", kind="dataset")(type("IllKnown", (Colours,), {"__init__": build}))
    with pytest.raises(InputError, match=text):
        work_of(embedder_recipe(data=Part("test_ill_known"), loss=LOSS))


def test_needs_that_there_are_not(embedder_recipe: Make) -> None:
    smoothswap.register("test_misspelt_need", kind="loss")(
        type("Misspelt", (SupConAttributesLoss,), {"needs": ("atributes",), "__doc__": "A loss."})
    )
    with pytest.raises(PluginError, match="declares the need 'atributes'. Did you mean 'attributes'"):
        work_of(embedder_recipe(data=KNOWN, loss=Part("test_misspelt_need")))
    smoothswap.register("test_one_word", kind="loss")(
        type("OneWord", (SupConAttributesLoss,), {"needs": "attributes", "__doc__": "A loss."})
    )
    work_of(embedder_recipe(data=KNOWN, loss=Part("test_one_word"))).step(0)


def slow(base: type[Any], *knows: str) -> type[Any]:
    """A data set that says what it knows, and may not be built."""

    def build(self: Any, config: Any) -> None:
        pytest.fail("built before everything else was checked")

    return type("Slow", (base,), {"__init__": build, "knows": classmethod(lambda cls, config: set(knows))})


@pytest.mark.parametrize(
    ("knows", "changes", "text"),
    [
        ((), {"loss": LOSS}, "reads attributes of people"),
        (("attributes",), {"loss": Part(LOSS.name, {"weight": -1.0})}, "'weight' .* cannot be -1.0"),
        (("attributes",), {"loss": Part("arcface", {"margin": 9.0})}, "'margin' .* cannot be 9.0"),
        ((), {"embedder": Part("small_resnet", {"dim": 0})}, "'dim' .* cannot be 0"),
        ((), {"data": Part("test_slow", {"people": "x"})}, "'people' .* cannot be 'x'"),
        ((), {"validation": Part(DATA.name, {"people": "x"})}, "'people' .* cannot be 'x'"),
    ],
)
def test_what_needs_no_data_is_refused_before_they_are_built(
    embedder_recipe: Make, knows: tuple[str, ...], changes: dict[str, Any], text: str
) -> None:
    smoothswap.register("test_slow", kind="dataset")(slow(KnownColours, *knows))
    with pytest.raises(ConfigError, match=text):
        work_of(embedder_recipe(**{"data": Part("test_slow"), **changes}))


def test_a_model_to_start_from_is_refused_before_the_data_are_built(embedder_recipe: Make, embedder_file: Path) -> None:
    smoothswap.register("test_slow", kind="dataset")(slow(Colours))
    other = Part("small_resnet", {"dim": 6, "widths": (6, 10), "blocks": (1, 1), "flat_channels": 5, "hidden": 7})
    with pytest.raises(ConfigError, match="no weight of"):
        EmbedderWork(
            embedder_recipe(data=Part("test_slow"), embedder=other),
            Fabric(accelerator="cpu", devices=1),
            embedder_file,
        )
