"""An embedder with a crop of its own (112 px of the face) where embedders by path are taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from evaluation.planted import PAIRS, SIZE, Recites, pairs
from evaluation.planted import scene as planted_scene
from lightning_fabric import Fabric

import smoothswap
from smoothswap.evaluation import swap_report
from smoothswap.training import LossTerm, SwapperRecipe, train_swapper
from smoothswap.training.gan_step import GanStep
from smoothswap.training.swap_inputs import SwapInputs


@pytest.fixture(scope="module")
def sface_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smoothswap.convert("sface", None, tmp_path_factory.mktemp("weights") / "sface.safetensors")


def test_its_gradient_trains_the_generator(
    swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path, sface_file: Path
) -> None:
    recipe = swapper_recipe(augment_identity=0.0, self_pairs=0, losses={"identity": LossTerm("identity", weight=4.0)})
    target, source = torch.rand(2, 2, 3, 16, 16) * 2 - 1
    inputs = SwapInputs(target, source, torch.zeros(2, dtype=torch.bool))
    gradients, losses = [], []
    for files in ([embedder_file], [embedder_file, sface_file], [sface_file]):
        torch.manual_seed(0)
        gan = GanStep(recipe, Fabric(accelerator="cpu", devices=1), files, set())
        with torch.no_grad():
            for weight in gan.generator.parameters():  # away from the identity map, where most gradients vanish
                weight.add_(0.05 * torch.randn_like(weight))
        losses.append(gan.backward(inputs, images=0, with_r1=False)["loss_identity"].item())
        found = [weight.grad for weight in gan.generator.parameters() if weight.grad is not None]
        assert all(gradient.isfinite().all() for gradient in found)
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
        assert all(weight.grad is None for embedder in gan.embedders for weight in embedder.parameters())
    assert gan.generator.identity_dim == gan.embedders[0].dim == 128
    assert gradients[2].abs().max() > 1e-6
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6, "the second embedder has its say"
    assert losses[0] != losses[1]


def test_a_run_takes_it_by_path(swapper_recipe: Callable[..., SwapperRecipe], sface_file: Path, tmp_path: Path) -> None:
    recipe = swapper_recipe(images=4, identity_embedders=(str(sface_file),))
    train_swapper(recipe, tmp_path / "run", embedder=sface_file, accelerator="cpu", progress=False)
    assert smoothswap.load(tmp_path / "run" / "embedder.safetensors").dim == 128
    assert smoothswap.load(tmp_path / "run" / "generator.safetensors").identity_dim == 128


def test_it_judges_a_swap_report() -> None:
    scene = planted_scene()
    judge, embedder = smoothswap.build("sface"), smoothswap.build("small_resnet", input_size=32, dim=4)
    report = swap_report(Recites(scene.target, scene.truth), embedder, judge, *pairs(), 3, supersample=1)
    assert len(report) == PAIRS
    assert report.protocol.judge == "sface"
    assert report.protocol.size == SIZE
    assert report.protocol.judge_is_independent
    torch.testing.assert_close(report.copy_target.likeness.to_target, torch.ones(PAIRS).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(report.swap.likeness.to_source, report.true_swap.likeness.to_source, atol=1e-6, rtol=0)
    assert not report.copy_target.likeness.to_source.isclose(report.copy_target.likeness.to_target, atol=0.02).any()
