"""Losses and mixed data sets by dotted name: what can be said, and what is refused with which words."""

from __future__ import annotations

import pytest

from smoothswap.core.errors import ConfigError, UnknownNameError
from smoothswap.training import DataShare, LossTerm, SwapperRecipe, recipe
from smoothswap.training.overrides import apply_overrides


def changed(overrides: dict[str, str], name: str = "faceworld_64") -> SwapperRecipe:
    made = recipe("swapper", name, overrides)
    assert isinstance(made, SwapperRecipe)
    return made


def test_a_loss_is_weighed_added_and_left_out() -> None:
    losses = changed(
        {
            "losses.identity.weight": "2",
            "losses.change": "none",
            "losses.truth.weight": "10",
            "losses.truth.edges": "0.5",
            "losses.truth.changes_at": "1000",
        }
    ).losses
    assert losses == {
        "adversarial": LossTerm("adversarial"),
        "identity": LossTerm("identity", weight=2.0),
        "truth": LossTerm("truth", {"edges": 0.5}, weight=10.0, changes_at=1000),
    }


def test_one_component_under_two_names() -> None:
    texts = {"losses.sharp.edges": "3", "losses.sharp.name": "truth", "losses.truth.absolute": "2"}  # in any order
    losses = changed(texts).losses
    assert losses["sharp"] == LossTerm("truth", {"edges": 3.0})
    assert losses["truth"] == LossTerm("truth", {"absolute": 2.0})


def test_another_component_keeps_weight_and_schedule_and_the_options_that_it_has() -> None:
    first = changed({"losses.change.self_weight": "3"})
    second = apply_overrides(first, {"losses.change.name": "truth"})
    assert second.losses["change"] == LossTerm("truth", weight=2.0, weight_before=0.25, changes_at=10_000)
    assert first.losses["change"].options == {"self_weight": 3.0}


def test_an_option_that_is_called_like_one_of_the_recipe_s() -> None:
    with pytest.raises(UnknownNameError, match="'weight' of TruthLoss"):
        changed({"losses.truth.options.weight": "1"})
    assert changed({"losses.truth.options.square": "1"}).losses["truth"].options == {"square": 1.0}


def test_a_data_set_is_mixed_in_and_out() -> None:
    texts = {"mix.photos.share": "0.25", "mix.photos.folder": "faces", "mix.photos.name": "image_folder"}
    made = changed(texts)
    assert made.mix == {"photos": DataShare("image_folder", {"folder": "faces"}, share=0.25)}
    assert apply_overrides(made, {"mix.photos": "none"}).mix == {}
    assert changed({"mix.faceworld_swaps.share": "0.3"}).mix["faceworld_swaps"].name == "faceworld_swaps"


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("losses.identiti.weight", "1", "the recipe has no losses.identiti. Did you mean 'identity'"),
        ("losses.truht.weight", "1", "Did you mean 'truth'"),
        ("losses.mine.weight", "1", r"no losses.mine(?s:.*)name its component first: losses.mine.name=…"),
        ("losses.identiti", "none", "the recipe has no losses.identiti. Did you mean 'identity'"),
        ("losses.mine.name", "truht", "unknown swap_loss 'truht'. Did you mean 'truth'"),
        ("losses.mine.name", "supcon", "unknown swap_loss 'supcon'"),  # a loss of embedders
        ("losses.identity.wieght", "1", "unknown option 'wieght' of losses.identity. Did you mean 'weight'"),
        ("losses.change.self_wieght", "1", "Did you mean 'self_weight'"),
        ("losses.truth.edge", "1", r"Did you mean 'edges'(?s:.*)options of truth: absolute, edges, square"),
        ("mix.photo.share", "0.5", "the recipe has no mix.photo"),
        ("loses.truth.weight", "1", "unknown part 'loses' in 'loses.truth.weight'. Did you mean 'losses'"),
    ],
)
def test_unknown_names(key: str, text: str, says: str) -> None:
    with pytest.raises(UnknownNameError, match=says):
        changed({key: text})


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("losses.identity.weight", "-1", "weight cannot be '-1'"),
        ("losses.identity.weight", "nan", "weight cannot be 'nan'"),
        ("losses.identity.weight", "inf", "weight cannot be 'inf'"),
        ("losses.identity.weight", "none", "weight cannot be 'none'"),
        ("losses.identity.weight", "much", "weight cannot be 'much'"),
        ("losses.identity.changes_at", "-1", "changes_at cannot be '-1'"),
        ("losses.identity", "4", r"losses.identity has options of its own, it cannot be '4'(?s:.*)\.weight="),
        ("losses.truth.edges", "sharp", "'edges' of TruthLoss cannot be 'sharp'"),
        ("losses", "none", "'losses' has options of its own, it cannot be 'none'"),
        ("mix", "faceworld", "'mix' has options of its own"),
        ("mix.faceworld.share", "0", "share cannot be '0'"),
        ("mix.faceworld.share", "1", "share cannot be '1'"),
    ],
)
def test_values_that_cannot_be(key: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        changed({key: text})


def test_all_losses_left_out() -> None:
    with pytest.raises(ConfigError, match="the recipe has no losses"):
        changed({f"losses.{name}": "none" for name in ("adversarial", "identity", "change")})


@pytest.mark.parametrize("share", ["0.5", "0.75"])
def test_shares_that_leave_nothing_to_the_recipe_s_data(share: str) -> None:
    with pytest.raises(ConfigError, match=r"add up to 1(?s:.*)mix\.more\.share = 0\.5") as error:
        changed({"mix.faceworld_swaps.share": share, "mix.more.name": "faceworld", "mix.more.share": "0.5"})
    assert "leave something of the batch to `data`" in str(error.value)
