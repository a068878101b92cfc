"""The losses of a recipe: weights over images, what they need, and when there is a discriminator."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from training.tiny import SIZE, TRUE_SWAPS, TrueSwaps

import smoothswap
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ConfigError, PluginError, SmoothSwapError
from smoothswap.losses.swap_batch import SwapBatch
from smoothswap.training import DataShare, LossTerm, Part, SwapperRecipe, load_recipe, recipe_of_run, train_swapper
from smoothswap.training.checkpoint import LAST, read_checkpoint
from smoothswap.training.gan_step import GanStep
from smoothswap.training.loss_terms import LossTerms
from smoothswap.training.overrides import apply_overrides
from smoothswap.training.swap_inputs import SwapInputs
from smoothswap.training.swapper import SwapperWork

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
PLUGIN = Path(__file__).parents[1] / "fixtures" / "plugins" / "swap_loss_plugin"
Make = Callable[..., SwapperRecipe]


def work_of(recipe: SwapperRecipe, embedder_file: Path) -> SwapperWork:
    return SwapperWork(recipe, Fabric(accelerator="cpu", devices=1), embedder_file)


@pytest.fixture
def own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers does not reach the others."""
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)


class Recorded:
    """Distance to the truth, that keeps the batches it sees."""

    seen: list[SwapBatch]

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """No options."""

    def __init__(self, config: Config) -> None:
        self.config, self.seen = config, []

    def __call__(self, batch: SwapBatch) -> torch.Tensor:
        self.seen.append(batch)
        return batch.swapped.square().mean()


def register(name: str, needs: Any) -> None:
    smoothswap.register(name, kind="swap_loss")(type("Needs", (Recorded,), {"needs": needs, "__doc__": "A loss."}))


@pytest.mark.parametrize(
    ("term", "weights"),
    [
        (LossTerm("x", weight=3.0), {0: 3, 10**9: 3}),
        (LossTerm("x", weight=4.0, changes_at=100), {0: 0, 99: 0, 100: 4}),
        (LossTerm("x", weight=4.0, weight_before=1.0, changes_at=100), {0: 1, 99: 1, 100: 4}),
        (
            LossTerm("x", weight=4.0, weight_before=1.0, changes_at=100, changes_over=60),
            {0: 1, 99: 1, 100: 1, 120: 2, 140: 3, 159: 3.95, 160: 4, 10**9: 4},
        ),
        (LossTerm("x", weight=0.0, weight_before=2.0, changes_at=10, changes_over=10), {9: 2, 15: 1, 20: 0}),
        (LossTerm("x", weight=4.0, changes_over=10), {0: 0, 5: 2, 10: 4}),
    ],
)
def test_weight_after_so_many_images(term: LossTerm, weights: dict[int, float]) -> None:
    assert {images: term.weight_at(images) for images in weights} == pytest.approx(weights)


def test_losses_without_a_weight_are_left_out() -> None:
    terms = {
        "early": LossTerm("change", weight=0.0, weight_before=2.0, changes_at=10),
        "late": LossTerm("change", weight=3.0, changes_at=10),
        "never": LossTerm("adversarial", weight=0.0),
    }
    losses = LossTerms(terms, set(), torch.device("cpu"))
    assert [(loss.name, weight) for loss, weight in losses.active(0)] == [("early", 2)]
    assert [(loss.name, weight) for loss, weight in losses.active(10)] == [("late", 3)]
    assert (losses.panel(0), losses.panel(10)) == ("early 2", "late 3")
    assert not losses.ever("logits")
    assert LossTerms({"x": LossTerm("adversarial", changes_at=10**9)}, set(), torch.device("cpu")).ever("logits")


def test_a_moment_without_any_weight_is_refused(swapper_recipe: Make) -> None:
    late, before = LossTerm("change", changes_at=16), LossTerm("identity", weight=0.0, weight_before=1.0, changes_at=16)
    assert swapper_recipe(losses={"late": late, "before": before}).losses["late"] == late
    with pytest.raises(ConfigError, match="no loss has a weight after 0 images"):
        swapper_recipe(losses={"late": late})
    with pytest.raises(ConfigError, match="no loss has a weight after 16 images"):
        swapper_recipe(losses={"before": before})
    # At its beginning a ramp from 0 is still 0.
    ramp = LossTerm("change", changes_at=16, changes_over=8)
    with pytest.raises(ConfigError, match=r"no loss has a weight after 16 images(?s:.*)losses.ramp: 0"):
        swapper_recipe(losses={"ramp": ramp, "before": before})
    assert swapper_recipe(images=16, losses={"before": before}).images == 16  # it ends there
    with pytest.raises(ConfigError, match="the recipe has no losses"):
        swapper_recipe(losses={})


def test_needs_that_the_run_does_not_meet(swapper_recipe: Make, embedder_file: Path, own_rows: None) -> None:
    truth = {"mine": LossTerm("truth")}
    with pytest.raises(ConfigError) as error:
        work_of(swapper_recipe(losses=truth), embedder_file)
    assert str(error.value) == (
        "the loss 'mine' (truth) needs true swaps, which none of the data sets knows\n"
        "train on, or mix in, a data set that knows them (data.name=faceworld_swaps), or leave the loss out: "
        "losses.mine=none"
    )
    work_of(swapper_recipe(losses=truth, mix={"true": DataShare(TRUE_SWAPS.name)}), embedder_file)

    register("test_two_judges", ("identity", "second_embedder"))
    judged = {"test_two_judges": LossTerm("test_two_judges")}
    with pytest.raises(ConfigError, match=r"needs a second embedder\nname one more with identity_embedders=FILE"):
        work_of(swapper_recipe(losses=judged), embedder_file)
    work_of(swapper_recipe(losses=judged, identity_embedders=(str(embedder_file),)), embedder_file)

    register("test_masked", ("masks",))
    masked, bare = {"test_masked": LossTerm("test_masked")}, DataShare(TRUE_SWAPS.name, {"masks": False})
    work_of(swapper_recipe(losses=masked, data=TRUE_SWAPS), embedder_file)
    with pytest.raises(ConfigError, match="needs masks of face and head"):
        # The masks would be black in the pairs of the one that gives none.
        work_of(swapper_recipe(losses=masked, data=TRUE_SWAPS, mix={"bare": bare}), embedder_file)


def slow(base: type[Any], *knows: str) -> type[Any]:
    """A data set that says what it knows, and may not be built."""

    def build(self: Any, config: Any) -> None:
        pytest.fail("built before everything else was checked")

    return type("Slow", (base,), {"__init__": build, "knows": classmethod(lambda cls, config: set(knows))})


SLOW, MASKED = Part("test_slow"), {"test_masked": LossTerm("test_masked")}


@pytest.mark.parametrize(
    ("knows", "changes", "text"),
    [
        ((), {"losses": {"truth": LossTerm("truth")}}, "needs true swaps"),
        (("truth",), {"losses": MASKED}, "needs masks"),
        (("truth", "masks"), {"losses": MASKED, "mix": {"bare": DataShare("test_bare")}}, "needs masks"),
        ((), {"losses": {"change": LossTerm("change", {"self_weight": -1.0})}}, "'self_weight' .* cannot be -1.0"),
        ((), {"data": Part("test_slow", {"pairs": "x"})}, "'pairs' .* cannot be 'x'"),
        ((), {"validation": Part(TRUE_SWAPS.name, {"pairs": "x"})}, "'pairs' .* cannot be 'x'"),
        ((), {"mix": {"a": DataShare(TRUE_SWAPS.name, share=0.01)}}, "the share of 'a' gives no picture"),
        ((), {"generator": Part("smooth_unet_64", {"image_size": 64})}, "the generator works at 64 px"),
        ((), {"identity_embedders": ("nowhere.safetensors",)}, "no model file 'nowhere.safetensors'"),
    ],
)
def test_what_needs_no_data_is_refused_before_they_are_built(
    swapper_recipe: Make,
    embedder_file: Path,
    own_rows: None,
    knows: tuple[str, ...],
    changes: dict[str, Any],
    text: str,
) -> None:
    smoothswap.register("test_slow", kind="dataset")(slow(TrueSwaps, *knows))
    smoothswap.register("test_bare", kind="dataset")(type("Bare", (slow(TrueSwaps, "truth"),), {"__doc__": "Bare."}))
    register("test_masked", ("masks",))
    with pytest.raises(SmoothSwapError, match=text):
        work_of(swapper_recipe(**{"data": SLOW, **changes}), embedder_file)


def test_files_that_do_not_fit_are_refused_before_the_data_are_built(
    tmp_path: Path, swapper_recipe: Make, embedder_file: Path, own_rows: None
) -> None:
    smoothswap.register("test_slow", kind="dataset")(slow(TrueSwaps, "truth", "masks"))
    recipe, out = swapper_recipe(data=SLOW), tmp_path / "new" / "run"
    unet = {"image_size": SIZE, "base_channels": 12, "channel_multipliers": (1, 1), "attention_resolutions": ()}
    file = smoothswap.save(smoothswap.build("smooth_unet", **unet, identity_dim=16), tmp_path / "g.safetensors")
    for embedder, text in (
        ("nowhere", "no model file"),
        (tmp_path, "it is a folder"),
        (file, "is no embedder: it holds the generator"),
    ):
        with pytest.raises(SmoothSwapError, match=text):
            train_swapper(recipe, out, embedder=embedder, **CPU)
    with pytest.raises(ConfigError, match=r"no weight of .* fits the generator"):
        train_swapper(recipe, out, embedder=embedder_file, start_from=file, **CPU)
    assert not out.parent.exists()  # nothing stays of a run that was refused


def test_a_data_set_that_does_not_say_what_it_knows_is_asked(swapper_recipe: Make, embedder_file: Path) -> None:
    mixed = {"true": DataShare(TRUE_SWAPS.name)}
    both = {"truth": LossTerm("truth"), "change": LossTerm("change")}
    assert work_of(swapper_recipe(losses=both, mix=mixed), embedder_file).gan.losses.all[0].name == "truth"
    with pytest.raises(ConfigError, match="needs true swaps"):
        work_of(swapper_recipe(losses=both), embedder_file)


def test_needs_that_there_are_not(swapper_recipe: Make, embedder_file: Path, own_rows: None) -> None:
    register("test_misspelt", ("identity", "thruth"))
    with pytest.raises(PluginError, match="declares the need 'thruth'. Did you mean 'truth'"):
        work_of(swapper_recipe(losses={"x": LossTerm("test_misspelt")}), embedder_file)
    register("test_one_word", "identity")  # a tuple without its comma
    work = work_of(swapper_recipe(losses={"x": LossTerm("test_one_word")}), embedder_file)
    assert work.gan.losses.all[0].needs == {"identity"}


@pytest.mark.parametrize(("knows", "rows"), [([False, True, True, False], [1, 2]), ([True] * 4, [0, 1, 2, 3])])
def test_a_loss_of_the_truth_sees_only_pictures_whose_truth_is_known(
    own_rows: None, knows: list[bool], rows: list[int]
) -> None:
    register("test_of_truth", ("truth",))
    register("test_of_all", ())
    terms = {name: LossTerm(name) for name in ("test_of_truth", "test_of_all")}
    some, every = LossTerms(terms, {"truth"}, torch.device("cpu")).all
    images = torch.rand(4, 3, 4, 4)
    batch = SwapBatch(images, images, images, torch.zeros(4) > 0, truth=images)
    some(batch, torch.tensor(knows)), every(batch, torch.tensor(knows))
    assert torch.equal(some.loss.seen[0].truth, images[rows])
    assert len(every.loss.seen[0]) == 4


def test_without_any_known_truth_the_loss_is_zero_and_so_is_its_gradient() -> None:
    (loss,) = LossTerms({"truth": LossTerm("truth")}, {"truth"}, torch.device("cpu")).all
    swapped = torch.rand(2, 3, 4, 4, requires_grad=True)
    value = loss(SwapBatch(swapped, swapped, swapped, torch.zeros(2) > 0), torch.tensor([False, False]))
    value.backward()
    assert value.item() == 0
    assert swapped.grad.eq(0).all()


def test_the_discriminator_rests_while_no_loss_of_its_logits_has_a_weight(
    swapper_recipe: Make, embedder_file: Path
) -> None:
    losses = {"change": LossTerm("change"), "adversarial": LossTerm("adversarial", changes_at=8)}
    work = work_of(swapper_recipe(losses=losses), embedder_file)
    assert work.discriminator is not None
    weights = [weight.clone() for weight in work.discriminator.parameters()]
    for images in (0, 4):
        values = work.step(images)
        assert not {"loss_adversarial", "loss_discriminator", "accuracy_real", "loss_r1"} & values.keys()
        assert all(map(torch.equal, weights, work.discriminator.parameters()))
    assert not work.discriminator_optimizer.state
    assert {"loss_adversarial", "loss_discriminator", "accuracy_real"} <= work.step(8).keys()
    assert not any(map(torch.equal, weights, work.discriminator.parameters()))


def test_without_a_loss_of_its_logits_there_is_none(tmp_path: Path, swapper_recipe: Make, embedder_file: Path) -> None:
    run = tmp_path / "run"
    result = train_swapper(
        swapper_recipe(images=8, data=TRUE_SWAPS, validation=TRUE_SWAPS, losses={"truth": LossTerm("truth")}),
        run,
        embedder=embedder_file,
        **CPU,
    )
    assert not (run / "discriminator.safetensors").exists()
    assert "discriminator" not in read_checkpoint(run / LAST)["work"]
    assert {"loss_truth", "held_out_gain", "held_out_gain_face"} <= result.metrics.keys()
    assert "loss_discriminator" not in result.metrics

    # It joins a resumed run by a loss that is added, and stays away when that is taken out again.
    for images, override in ((16, {"losses.adversarial.weight": "1"}), (24, {"losses.adversarial": "none"})):
        train_swapper(recipe_of_run(run, {"images": str(images), **override}), run, resume=True, **CPU)
        assert ("discriminator" in read_checkpoint(run / LAST)["work"]) == (images == 16)
        # --start-from of this folder must not find one that the run no longer has.
        assert (run / "discriminator.safetensors").exists() == (images == 16)


def test_a_start_without_a_discriminator_to_start(tmp_path: Path, swapper_recipe: Make, embedder_file: Path) -> None:
    first, run = tmp_path / "first", tmp_path / "run"
    train_swapper(swapper_recipe(images=4), first, embedder=embedder_file, **CPU)
    alone = swapper_recipe(images=4, losses={"change": LossTerm("change")})
    train_swapper(alone, run, embedder=embedder_file, start_from=first, **CPU)
    assert list(json.loads((run / "started_from.json").read_text())) == ["generator"]
    with pytest.raises(ConfigError, match="the recipe has no discriminator"):
        file = first / "discriminator.safetensors"
        train_swapper(alone, tmp_path / "next", embedder=embedder_file, start_from=file, **CPU)


class Both(torch.nn.Module):
    """A loss of logits, identities and pictures at once."""

    needs = ("logits", "identity")

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        scale: float = option(1.0, "factor of the cosine")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, batch: SwapBatch) -> torch.Tensor:
        cosines = (batch.z_swapped[0] * batch.z_source[0]).sum(1)
        return (batch.logits[:, 0] * cosines).mean() * self.config.scale + batch.swapped.square().mean()


def test_a_loss_of_logits_and_identities_gets_all_of_its_gradient(
    swapper_recipe: Make, embedder_file: Path, own_rows: None
) -> None:
    smoothswap.register("test_both", kind="swap_loss")(Both)
    losses = {"both": LossTerm("test_both", {"scale": 2.0}, weight=0.5), "identity": LossTerm("identity", weight=3.0)}
    recipe = swapper_recipe(augment_identity=0.0, self_pairs=0, losses=losses)
    gan = GanStep(recipe, Fabric(accelerator="cpu", devices=1), [embedder_file], set())
    with torch.no_grad():
        for weight in gan.generator.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    target, source = torch.rand(2, 4, 3, SIZE, SIZE) * 2 - 1
    gan.backward(SwapInputs(target, source, torch.zeros(4) > 0), images=0, with_r1=False)
    ours = {name: weight.grad.clone() for name, weight in gan.generator.named_parameters()}
    gan.generator.zero_grad()

    f = gan.embedders[0]
    swapped, z = gan.generator(target, f(source)), f(source)
    cosines = F.cosine_similarity(f(swapped), z)
    both = 2.0 * (gan.discriminator(swapped)[:, 0] * cosines).mean() + swapped.square().mean()
    (0.5 * both + 3.0 * (1 - cosines).mean()).backward()
    for name, weight in gan.generator.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, rtol=2e-3, atol=1e-5, msg=name)


def test_a_loss_from_a_plugins_package_trains_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapper_recipe: Make, embedder_file: Path
) -> None:
    rows = CATALOGUE._rows
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.delitem(sys.modules, "swap_loss_plugin", raising=False)
    monkeypatch.setattr(CATALOGUE, "_rows", {})
    monkeypatch.setattr(CATALOGUE, "_plugins", None)
    CATALOGUE.load_plugins()  # finds the package by its entry point
    CATALOGUE._add_all([row for key, row in rows.items() if key not in CATALOGUE._rows])  # those of the tests

    overrides = {"losses.colour_kept.weight": "0.5", "losses.colour_kept.channels": "0,2", "losses.change": "none"}
    recipe = apply_overrides(swapper_recipe(images=8), overrides)
    assert recipe.losses["colour_kept"] == LossTerm("colour_kept", {"channels": (0, 2)}, weight=0.5)
    result = train_swapper(recipe, tmp_path / "run", embedder=embedder_file, **CPU)
    assert result.metrics["loss_colour_kept"] > 0
    assert load_recipe(tmp_path / "run" / "recipe.json") == recipe
    assert "loss_change" not in result.metrics


def test_recipes_with_losses_and_mixed_data_survive_their_file(tmp_path: Path, swapper_recipe: Make) -> None:
    from smoothswap.training.recipes import save_recipe

    recipe = swapper_recipe(
        losses={
            "sharp": LossTerm("truth", {"edges": 2.0}, weight=10.0),
            "identity": LossTerm("identity", weight=1.0, weight_before=0.5, changes_at=10, changes_over=20),
        },
        mix={"more": DataShare("image_folder", {"folder": "faces", "suffixes": ("jpg", "png")}, share=0.25)},
        validation=Part("faceworld_swaps"),
    )
    save_recipe(recipe, tmp_path / "recipe.json")
    assert load_recipe(tmp_path / "recipe.json") == recipe
