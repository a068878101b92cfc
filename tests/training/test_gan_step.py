"""One adversarial step against the same gradients, computed the long way."""

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
from smoothswap.core.errors import CheckpointError, ConfigError
from smoothswap.training import LossTerm, Part, SwapperRecipe, train_swapper
from smoothswap.training.gan_step import GanStep, blend_identities, jitter_identities
from smoothswap.training.optimizers import parameters
from smoothswap.training.swap_inputs import SwapInputs
from smoothswap.training.swapper import SwapperWork

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}
Make = Callable[..., SwapperRecipe]


def make_gan_step(recipe: SwapperRecipe, embedder_file: Path) -> GanStep:
    gan = GanStep(recipe, Fabric(accelerator="cpu", devices=1), [embedder_file], set())
    # Away from the identity map, where most gradients vanish.
    with torch.no_grad():
        for weight in gan.generator.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return gan


def singles(target: torch.Tensor, source: torch.Tensor) -> SwapInputs:
    return SwapInputs(target, source, torch.zeros(len(target), dtype=torch.bool))


@pytest.mark.parametrize("with_r1", [False, True])
def test_shared_pass_gives_both_players_their_own_gradients(
    swapper_recipe: Make, embedder_file: Path, with_r1: bool
) -> None:
    losses = {
        "adversarial": LossTerm("adversarial", weight=0.5),
        "identity": LossTerm("identity", weight=4.0),
        "change": LossTerm("change", {"self_weight": 3.0}, weight=0.7),
    }
    recipe = swapper_recipe(augment_identity=0.0, self_pairs=1, losses=losses, r1_gamma=2.0)
    gan = make_gan_step(recipe, embedder_file)
    target, source = torch.rand(2, 4, 3, 16, 16) * 2 - 1
    gan.backward(singles(target, source), images=0, with_r1=with_r1)
    ours = [
        {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}
        for module in (gan.generator, gan.discriminator)
    ]
    gan.generator.zero_grad()
    gan.discriminator.zero_grad()

    f, d = gan.embedders[0], gan.discriminator
    source = torch.cat([target[:1], source[1:]])
    z = f(source)
    swap = gan.generator(target, z)
    identity = (1 - F.cosine_similarity(f(swap), z)).mean()
    squares = (swap - target).square().flatten(1).mean(1)
    change = (3.0 * squares[0] + squares[1:].sum()) / 4
    loss = 0.5 * F.softplus(-d(swap)).mean() + 4.0 * identity + 0.7 * change
    loss.backward()
    expected_generator = {name: weight.grad.clone() for name, weight in gan.generator.named_parameters()}
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
    f = work.gan.embedders[0]
    before = {key: value.clone() for key, value in f.state_dict().items()}
    for step in range(3):
        work.step(4 * step)
    assert all(torch.equal(before[key], value) for key, value in f.state_dict().items())
    assert not f.training
    held = [
        {id(weight) for weight in parameters(optimizer)}
        for optimizer in (work.generator_optimizer, work.discriminator_optimizer)
        if optimizer is not None
    ]
    assert len(held) == 2
    assert work.discriminator is not None
    assert held[0] == {id(weight) for weight in work.generator.parameters()}
    assert held[1] == {id(weight) for weight in work.discriminator.parameters()}
    assert not held[0] & held[1]


def test_several_embedders_judge(swapper_recipe: Make, embedder_file: Path) -> None:
    recipe = swapper_recipe(identity_embedders=(str(embedder_file),))
    work = SwapperWork(recipe, Fabric(accelerator="cpu", devices=1), embedder_file)
    assert len(work.gan.embedders) == 2
    assert float(work.step(0)["loss_identity"]) > 0


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
    with pytest.raises(CheckpointError, match="is no embedder: it holds the generator"):
        train_swapper(swapper_recipe(), tmp_path / "run", embedder=tmp_path / "g.safetensors", **CPU)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_identities_between_two_people(share: float) -> None:
    z = [torch.nn.functional.normalize(torch.randn(40, dim), dim=1) for dim in (8, 5)]
    free = torch.arange(40) % 4 > 0
    blended = blend_identities(z, free, share)
    for own, made in zip(z, blended, strict=True):
        changed = ~torch.isclose(own, made).all(1)
        assert not changed[~free].any()
        assert abs(float(changed[free].float().mean()) - share) < 0.25
        assert torch.allclose(made.norm(dim=1), torch.ones(40), atol=1e-4)
        rows = free.nonzero().flatten()
        first, second = own[rows], own[rows.roll(1)]
        # On the great circle: the angles to both ends add up to the angle between them.
        angles = [torch.acos((made[rows] * end).sum(1).clamp(-1, 1)) for end in (first, second)]
        assert torch.allclose(sum(angles), torch.acos((first * second).sum(1)), atol=2e-3)
    same = [torch.isclose(own, made).all(1) for own, made in zip(z, blended, strict=True)]
    assert torch.equal(*same), "the same pairs for every embedder"
    one = torch.arange(40) == 3
    assert torch.equal(blend_identities(z, one, 1.0)[0], z[0]), "nobody to blend with"


def test_jittered_identities_lie_at_one_angle() -> None:
    z = torch.nn.functional.normalize(torch.randn(200, 512), dim=1)
    moved = jitter_identities(z, 0.5)
    assert torch.allclose(moved.norm(dim=1), torch.ones(200), atol=1e-5)
    # A random direction of many is square to the vector: a right triangle with the sides 1 and 0.5.
    assert torch.allclose((moved * z).sum(1), torch.full((200,), 1 / 1.25**0.5), atol=0.06)
    assert jitter_identities(z, 0) is z


def test_the_generator_takes_jittered_identities_and_the_loss_the_persons(
    swapper_recipe: Make, embedder_file: Path
) -> None:
    recipe = swapper_recipe(jitter_identities=0.5, augment_identity=0.0, self_pairs=0)
    work = SwapperWork(recipe, Fabric(accelerator="cpu", devices=1), embedder_file)
    given: list[torch.Tensor] = []
    seen: list[torch.Tensor] = []
    work.generator.register_forward_pre_hook(lambda module, args: given.append(args[1]))
    work.gan.embedders[0].register_forward_hook(lambda module, args, out: seen.append(out.detach()))
    values = work.step(0)
    source, swapped = seen[:2]
    assert not torch.allclose(given[0], source, atol=0.05)
    expected = (1 - F.cosine_similarity(swapped, source)).mean()
    assert float(values["loss_identity"]) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_both_networks_see_augmented_targets_and_the_embedder_the_photographs(
    swapper_recipe: Make, embedder_file: Path, strength: float
) -> None:
    losses = {"adversarial": LossTerm("adversarial"), "identity": LossTerm("identity")}
    recipe = swapper_recipe(augment_targets=strength, augment_identity=0.0, self_pairs=0, losses=losses)
    gan = make_gan_step(recipe, embedder_file)
    seen: dict[str, list[torch.Tensor]] = {"generator": [], "discriminator": [], "embedder": []}
    for name, module in {
        "generator": gan.generator,
        "discriminator": gan.discriminator,
        "embedder": gan.embedders[0],
    }.items():
        module.register_forward_pre_hook(lambda module, args, name=name: seen[name].append(args[0].detach()))
    target, source = torch.rand(2, 4, 3, 16, 16) * 2 - 1
    gan.backward(singles(target, source), images=0, with_r1=False)
    given, real = seen["generator"][0], seen["discriminator"][1]
    assert torch.equal(given, real)
    assert torch.equal(given, target) == (strength == 0)
    assert torch.equal(seen["embedder"][0], source)
