"""One round of the game against the same gradients, computed the long way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from PIL import Image
from training.tiny import DATA

import smoothswap
from smoothswap.core.errors import ConfigError
from smoothswap.training import Part, SwapperRecipe, train_swapper
from smoothswap.training.game import Game
from smoothswap.training.optimizers import parameters
from smoothswap.training.swapper import SwapperWork

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
Make = Callable[..., SwapperRecipe]


def make_game(recipe: SwapperRecipe, embedder_file: Path) -> Game:
    game = Game(recipe, Fabric(accelerator="cpu", devices=1), [embedder_file])
    # Away from the identity map, where most gradients vanish.
    with torch.no_grad():
        for weight in game.generator.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return game


@pytest.mark.parametrize("with_r1", [False, True])
def test_shared_pass_gives_both_players_their_own_gradients(
    swapper_recipe: Make, embedder_file: Path, with_r1: bool
) -> None:
    recipe = swapper_recipe(augment_identity=0.0, self_pairs=1, self_weight=3.0, adversarial_weight=0.5, r1_gamma=2.0)
    game = make_game(recipe, embedder_file)
    target, source = torch.rand(2, 4, 3, 16, 16) * 2 - 1
    game.backward(target, source, change_weight=0.7, with_r1=with_r1)
    ours = [
        {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}
        for module in (game.generator, game.discriminator)
    ]
    game.generator.zero_grad()
    game.discriminator.zero_grad()

    f, d = game.embedders[0], game.discriminator
    source = torch.cat([target[:1], source[1:]])
    z = f(source)
    swap = game.generator(target, z)
    identity = (1 - F.cosine_similarity(f(swap), z)).mean()
    squares = (swap - target).square().flatten(1).mean(1)
    change = (3.0 * squares[0] + squares[1:].sum()) / 4
    loss = 0.5 * F.softplus(-d(swap)).mean() + 4.0 * identity + 0.7 * change
    loss.backward()
    expected_generator = {name: weight.grad.clone() for name, weight in game.generator.named_parameters()}
    d.zero_grad()
    real = target.clone().requires_grad_()
    logits = d(real)
    loss = F.softplus(-logits).mean() + F.softplus(d(swap.detach())).mean()
    if with_r1:
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        loss = loss + recipe.r1_every * 2.0 / 2 * gradient.square().sum((1, 2, 3)).mean()
    loss.backward()
    expected_discriminator = {name: weight.grad.clone() for name, weight in d.named_parameters()}

    for mine, expected in zip(ours, (expected_generator, expected_discriminator), strict=True):
        assert mine.keys() == expected.keys()
        for name in mine:
            torch.testing.assert_close(mine[name], expected[name], rtol=2e-3, atol=1e-5, msg=name)


def test_the_embedder_stays_and_nobody_holds_anothers_weights(swapper_recipe: Make, embedder_file: Path) -> None:
    work = SwapperWork(swapper_recipe(), Fabric(accelerator="cpu", devices=1), embedder_file)
    f = work.game.embedders[0]
    before = {key: value.clone() for key, value in f.state_dict().items()}
    for step in range(3):
        work.step(4 * step)
    assert all(torch.equal(before[key], value) for key, value in f.state_dict().items())
    assert not f.training
    held = [
        {id(weight) for weight in parameters(optimizer)}
        for optimizer in (work.generator_optimizer, work.discriminator_optimizer)
    ]
    assert held[0] == {id(weight) for weight in work.generator.parameters()}
    assert held[1] == {id(weight) for weight in work.discriminator.parameters()}
    assert not held[0] & held[1]


def test_several_embedders_judge(swapper_recipe: Make, embedder_file: Path) -> None:
    recipe = swapper_recipe(identity_embedders=(str(embedder_file),))
    work = SwapperWork(recipe, Fabric(accelerator="cpu", devices=1), embedder_file)
    assert len(work.game.embedders) == 2
    assert float(work.step(0)["loss_identity"]) > 0


def test_change_weight_rises_once_the_identity_loss_is_low(swapper_recipe: Make, embedder_file: Path) -> None:
    recipe = swapper_recipe(change_weight=0.25, change_weight_late=2.0)
    work = SwapperWork(recipe, Fabric(accelerator="cpu", devices=1), embedder_file)
    means = {"mse_target": 0.1, "similarity_source": 0.1}
    work.reflect(means, 8)
    assert work.change_weight == 0.25
    work.running_identity.fill_(0.19)
    work.reflect(means, 16)
    assert (work.change_weight, work.late_since) == (2.0, 16)
    work.running_identity.fill_(0.9)
    work.reflect(means, 24)
    assert work.change_weight == 2.0


def test_artifacts(tmp_path: Path, swapper_recipe: Make, embedder_file: Path) -> None:
    result = train_swapper(swapper_recipe(images=16, validation=DATA), tmp_path / "run", embedder=embedder_file, **CPU)
    folder = tmp_path / "run"
    assert result.path == folder / "generator.safetensors"
    f = smoothswap.load(folder / "embedder.safetensors")
    target = torch.zeros(1, 3, 16, 16)
    assert smoothswap.load(result.path)(target, f(target)).shape == target.shape
    assert smoothswap.load(folder / "discriminator.safetensors")(target).shape == (1, 1)
    with Image.open(next((folder / "samples").iterdir())) as sheet:
        assert sheet.size == (3 * 18, 8 * 18)
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert {"loss_r1", "similarity_source", "similarity_target", "accuracy_real"} <= set(lines[0])
    assert "held_out_psnr_target" in lines[-1]


NINE = {"identity_dim": 9, "channel_multipliers": (1, 1), "attention_resolutions": ()}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"generator": Part("smooth_unet", NINE)}, "identities of 9 numbers, the embedder gives 8"),
        ({"discriminator": Part("stylegan2", {"image_size": 32})}, "discriminator works at 32 px"),
        ({"self_pairs": 4}, "self_pairs cannot be 4"),
        ({"batch_size": 5, "accumulate": 2}, "5 images a batch cannot be split"),
    ],
)
def test_parts_that_do_not_fit(swapper_recipe: Make, embedder_file: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        SwapperWork(swapper_recipe(**changes), Fabric(accelerator="cpu", devices=1), embedder_file)


def test_an_embedder_is_needed(tmp_path: Path, swapper_recipe: Make) -> None:
    with pytest.raises(ConfigError, match="needs an embedder"):
        train_swapper(swapper_recipe(), tmp_path / "run", **CPU)
    generator = smoothswap.build("smooth_unet", image_size=16, base_channels=8, channel_multipliers=(1,))
    smoothswap.save(generator, tmp_path / "g.safetensors")
    with pytest.raises(ConfigError, match="holds no embedder"):
        train_swapper(swapper_recipe(), tmp_path / "run", embedder=tmp_path / "g.safetensors", **CPU)
