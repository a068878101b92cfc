"""What a swapper is trained on: pairs with and without their truth, mixed by share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from training.tiny import DATA, TRUE_SWAPS

import smoothswap
from smoothswap.core.errors import ConfigError
from smoothswap.training import DataShare, LossTerm, SwapperRecipe
from smoothswap.training.gan_step import GanStep
from smoothswap.training.samples import Pairs
from smoothswap.training.swap_inputs import SwapData, SwapInputs, knows_truth
from smoothswap.training.swapper import SwapperWork

Make = Callable[..., SwapperRecipe]
CPU = torch.device("cpu")
TRUTH = {"truth": LossTerm("truth", weight=2.0), "change": LossTerm("change", weight=0.5)}


def mixed(**shares: float) -> dict[str, DataShare]:
    return {name: DataShare(TRUE_SWAPS.name, share=share) for name, share in shares.items()}


def data_of(recipe: SwapperRecipe, rank: int = 0, world_size: int = 1) -> SwapData:
    parts = {"": recipe.data, **recipe.mix}
    datasets = {name: smoothswap.build(part.name, "dataset", **part.options) for name, part in parts.items()}
    return SwapData(recipe, datasets, rank, world_size, CPU)


def rows(count: int, *, known: bool) -> SwapInputs:
    images = torch.rand(4, count, 3, 4, 4)
    knows = torch.full((count,), known)
    if not known:
        return SwapInputs(images[0], images[1], knows)
    return SwapInputs(images[0], images[1], knows, images[2], images[3][:, :2], images[3][:, 1:])


def test_the_true_swap_counts_as_real_where_it_is_known() -> None:
    photographs, pairs = rows(2, known=False), rows(3, known=True)
    assert torch.equal(photographs.real(), photographs.target)
    real = SwapInputs.cat([photographs, pairs]).real()
    assert torch.equal(real[:2], photographs.target)
    assert torch.equal(real[2:], pairs.truth)  # type: ignore[arg-type]


def test_some_of_the_pairs() -> None:
    inputs = rows(3, known=True)
    some = inputs.select(torch.tensor([2, 0]))
    assert len(some) == 2
    for field in dataclasses.fields(SwapInputs):
        assert torch.equal(getattr(some, field.name), getattr(inputs, field.name)[[2, 0]]), field.name
    assert rows(3, known=False).select(slice(1, 2)).truth is None


def test_joined_pairs_say_whose_truth_is_known() -> None:
    photographs, pairs = rows(2, known=False), rows(3, known=True)
    joint = SwapInputs.cat([photographs, pairs])
    assert joint.knows.tolist() == [False, False, True, True, True]
    assert torch.equal(joint.target, torch.cat([photographs.target, pairs.target]))
    assert torch.equal(joint.truth[2:], pairs.truth)
    assert joint.truth[:2].eq(0).all()
    assert joint.face.shape == (5, 2, 4, 4)
    assert SwapInputs.cat([photographs, photographs]).truth is None


def test_self_pairs_are_targets_whose_true_swap_is_the_target() -> None:
    inputs = rows(3, known=True)
    own = inputs.with_self_pairs(1)
    assert torch.equal(own.source[0], inputs.target[0])
    assert torch.equal(own.truth[0], inputs.target[0])
    assert torch.equal(own.face[0, 1], inputs.face[0, 0])  # face of the truth: that of the target
    assert torch.equal(own.head[0, 1], inputs.head[0, 0])
    for name in ("source", "truth", "face", "head"):
        assert torch.equal(getattr(own, name)[1:], getattr(inputs, name)[1:]), name
    assert torch.equal(own.target, inputs.target)
    assert inputs.with_self_pairs(0) is inputs


def test_pairs_with_truth_stay_together_and_come_as_floats(swapper_recipe: Make) -> None:
    data = data_of(swapper_recipe(data=TRUE_SWAPS))
    targets = []
    for _ in range(3):  # an epoch of 12 pairs
        inputs = data.next()
        assert inputs.knows.all()
        assert torch.equal(inputs.truth, torch.cat([inputs.source[:, :1], inputs.target[:, 1:]], 1))
        assert inputs.target.min() >= -1
        assert 0.9 < inputs.target.max() <= 1
        assert inputs.face[..., :8].eq(1).all()
        assert inputs.face[..., 8:].eq(0).all()
        targets += [image.flatten()[:8] for image in inputs.target]
    assert len(torch.stack(targets).unique(dim=0)) == 12


@pytest.mark.parametrize(
    ("batch_size", "shares", "accumulate", "counts"),
    [
        (8, {"true": 0.25}, 1, [6, 2]),
        (8, {"true": 0.25}, 2, [6, 2]),
        (8, {"true": 0.75}, 2, [2, 6]),
        (12, {"a": 1 / 3, "b": 1 / 6}, 2, [6, 4, 2]),
        (10, {"true": 0.33}, 1, [7, 3]),  # to the nearest whole number
    ],
)
def test_each_part_of_a_batch_has_its_share(
    swapper_recipe: Make, batch_size: int, shares: dict[str, float], accumulate: int, counts: list[int]
) -> None:
    recipe = swapper_recipe(batch_size=batch_size, mix=mixed(**shares), accumulate=accumulate)
    data = data_of(recipe)
    inputs = data.next()
    assert len(inputs) == batch_size
    size = batch_size // accumulate
    for first in range(0, batch_size, size):
        part = inputs.select(slice(first, first + size))
        assert int((~part.knows).sum()) == counts[0] / accumulate
    known = inputs.select(inputs.knows)
    assert torch.equal(known.truth, torch.cat([known.source[:, :1], known.target[:, 1:]], 1))
    assert inputs.truth[~inputs.knows].eq(0).all()
    # Two data sets of one kind are two streams: the same pairs in another order.
    names = ["", *shares]
    assert [len(data._streams[name].next()) for name in names] == counts


def test_processes_share_the_joint_batch(swapper_recipe: Make) -> None:
    recipe = swapper_recipe(batch_size=8, mix=mixed(true=0.5), self_pairs=0)
    whole = data_of(recipe).next()
    halves = [data_of(recipe, rank, 2).next() for rank in (0, 1)]
    assert [int(half.knows.sum()) for half in halves] == [2, 2]
    joint = SwapInputs.cat(halves)
    for name in ("target", "source", "truth"):
        first, second = (getattr(inputs, name).flatten(1) for inputs in (whole, joint))
        assert torch.equal(first[first[:, 0].argsort()], second[second[:, 0].argsort()]), name


def test_a_saved_position_continues_every_stream(swapper_recipe: Make) -> None:
    recipe = swapper_recipe(batch_size=8, mix=mixed(true=0.5))
    first, second = data_of(recipe), data_of(recipe)
    first.next()
    second.restore(first.state())
    for _ in range(3):
        one, other = first.next(), second.next()
        assert torch.equal(one.target, other.target)
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.truth, other.truth)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"batch_size": 4, "mix": mixed(true=0.1)}, "the share of 'true' gives no picture in a batch of 4"),
        ({"batch_size": 4, "mix": mixed(true=0.9)}, "the share of 'data' gives no picture in a batch of 4"),
        ({"batch_size": 8, "accumulate": 4, "mix": mixed(true=0.25)}, "6 images of 'data' in a batch cannot be split"),
        ({"batch_size": 8, "accumulate": 4, "mix": mixed(true=0.75)}, "2 images of 'data' in a batch cannot be split"),
    ],
)
def test_shares_that_do_not_fit(swapper_recipe: Make, embedder_file: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        SwapperWork(swapper_recipe(self_pairs=0, **changes), Fabric(accelerator="cpu", devices=1), embedder_file)


def test_gradient_of_a_mix_is_that_of_the_long_way(swapper_recipe: Make, embedder_file: Path) -> None:
    recipe = swapper_recipe(batch_size=8, mix=mixed(true=0.25), losses=TRUTH, self_pairs=0)
    gan = GanStep(recipe, Fabric(accelerator="cpu", devices=1), [embedder_file], {"truth"})
    with torch.no_grad():
        for weight in gan.generator.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    inputs = data_of(recipe).next()
    values = gan.backward(inputs, images=0, with_r1=False)
    ours = {name: weight.grad.clone() for name, weight in gan.generator.named_parameters()}
    gan.generator.zero_grad()

    swapped = gan.generator(inputs.target, gan.embedders[0](inputs.source))
    known = inputs.knows
    truth = (swapped[known] - inputs.truth[known]).abs().mean()  # of the two pairs alone
    change = (swapped - inputs.target).square().mean()  # of all eight
    (2.0 * truth + 0.5 * change).backward()
    torch.testing.assert_close(values["loss_truth"], truth.detach())
    for name, weight in gan.generator.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, rtol=2e-3, atol=1e-6, msg=name)


def test_accumulated_parts_give_the_gradient_of_the_whole(swapper_recipe: Make, embedder_file: Path) -> None:
    gradients = []
    for accumulate in (1, 2):
        recipe = swapper_recipe(
            batch_size=8, mix=mixed(true=0.25), losses=TRUTH, self_pairs=0, accumulate=accumulate, seed=3
        )
        work = SwapperWork(recipe, Fabric(accelerator="cpu", devices=1), embedder_file)
        inputs = work.data.next()
        size = len(inputs) // accumulate
        for first in range(0, 8, size):
            work.gan.backward(inputs.select(slice(first, first + size)), images=0, with_r1=False)
        gradients.append([weight.grad for weight in work.generator.parameters()])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, rtol=2e-3, atol=1e-6)


def test_held_out_pairs_come_from_the_data_set_where_it_knows_the_truth() -> None:
    dataset = smoothswap.build(TRUE_SWAPS.name, "dataset")
    assert knows_truth(dataset)
    pairs = Pairs(dataset, 4, seed=1)
    expected = torch.cat([pairs.source[:, :1], pairs.target[:, 1:]], 1)
    assert torch.equal(pairs.truth, expected)
    assert len(pairs.target.flatten(1).unique(dim=0)) == 4
    assert pairs.face.shape == (4, 1, 16, 16)
    assert pairs.head.shape == (4, 2, 16, 16)
    assert len(Pairs(dataset, 100, seed=0).target) == 12  # no more than there are
    photographs = smoothswap.build(DATA.name, "dataset")
    assert not knows_truth(photographs)
    assert Pairs(photographs, 4, seed=1).truth is None
