"""Muon: directions of equal length, whatever the shape; Adam for the rest; states come back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from smoothswap.training.device import make_fabric
from smoothswap.training.muon import MOMENTUM, RMS, Muon, orthogonalised
from smoothswap.training.optimizers import gan_optimizer, restore_optimizer


def stretched(rows: int, columns: int, smallest: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix with singular values from 1 to `smallest`, and its orthogonal factor U Vᵀ."""
    draws = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(rows, columns, generator=draws, dtype=torch.float64), full_matrices=False)
    values = torch.logspace(0, math.log10(smallest), min(rows, columns), dtype=torch.float64)
    return (u * values @ v).float(), (u @ v).float()


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (40, 360), (300, 33)])
@pytest.mark.parametrize("smallest", [0.5, 0.02])
def test_singular_values_become_about_one_and_directions_stay(rows: int, columns: int, smallest: float) -> None:
    matrix, factor = stretched(rows, columns, smallest)
    result = orthogonalised(7 * matrix)
    assert result.dtype == torch.float32
    assert result.shape == matrix.shape
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6
    assert values.max() < 1.25
    # Same singular vectors: the product with Vᵀ Uᵀ is symmetric and positive.
    turned = result @ factor.T if rows <= columns else factor.T @ result
    torch.testing.assert_close(turned, turned.T, atol=2e-3, rtol=0)


def test_five_rounds_of_the_quintic_on_the_matrix_itself() -> None:
    matrix, _ = stretched(34, 90, 0.05, seed=3)
    x = matrix.double() / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    torch.testing.assert_close(orthogonalised(matrix).double(), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(40, 44), (40, 360)])
def test_bfloat16_gives_about_the_same(rows: int, columns: int) -> None:
    matrix, _ = stretched(rows, columns, 0.02)
    half, full = orthogonalised(matrix, torch.bfloat16), orthogonalised(matrix)
    assert half.dtype == torch.float32
    assert (half - full).norm() < 0.03 * full.norm()


def test_zero_stays_zero_and_scale_does_not_matter() -> None:
    assert torch.equal(orthogonalised(torch.zeros(40, 50)), torch.zeros(40, 50))
    matrix, _ = stretched(40, 50, 0.1)
    torch.testing.assert_close(orthogonalised(1e-12 * matrix), orthogonalised(matrix), atol=1e-4, rtol=0)


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(8, 32, 3), nn.Linear(40, 36), nn.Linear(16, 64), nn.Conv2d(3, 64, 3), nn.Linear(257, 300)
    )


def with_gradients(net: nn.Module, seed: int) -> nn.Module:
    draws = torch.Generator().manual_seed(seed)
    for weight in net.parameters():
        weight.grad = torch.randn(weight.shape, generator=draws)
    return net


def test_wide_weights_take_muon_s_step_and_the_rest_adam_s() -> None:
    net, before = with_gradients(module(), 1), module()
    optimizer = Muon(net.parameters(), lr=0.1, betas=(0.9, 0.99))
    optimizer.step()
    adam = torch.optim.Adam(with_gradients(before, 1).parameters(), lr=0.1, betas=(0.9, 0.99))
    start = {name: weight.detach().clone() for name, weight in before.named_parameters()}
    adam.step()
    muon = {"0.weight", "1.weight"}  # 32 × 72 and 36 × 40; the others have a smaller side of 16, 27 and 257
    for (name, weight), by_adam in zip(net.named_parameters(), before.parameters(), strict=True):
        if name not in muon:
            torch.testing.assert_close(weight, by_adam)
            continue
        gradient = weight.grad.flatten(1)
        moved = (start[name] - weight).flatten(1).detach()
        expected = 0.1 * RMS * max(gradient.shape) ** 0.5 * orthogonalised(gradient)
        torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-4)
        assert moved.square().mean().sqrt() == pytest.approx(0.1 * RMS, rel=0.2)


def test_momentum_looks_a_step_ahead() -> None:
    weight = nn.Parameter(torch.zeros(32, 32))
    optimizer = Muon([weight], lr=1.0)
    first, second = (stretched(32, 32, 0.1, seed)[0] for seed in (1, 2))
    weight.grad = first.clone()
    optimizer.step()
    held = weight.detach().clone()
    weight.grad = second.clone()
    optimizer.step()
    momentum = (1 - MOMENTUM) * (MOMENTUM * first + second)
    ahead = (1 - MOMENTUM) * second + MOMENTUM * momentum
    torch.testing.assert_close(weight, held - RMS * 32**0.5 * orthogonalised(ahead), atol=1e-5, rtol=1e-4)


def test_weight_decay_takes_off_a_share_of_matrices_alone() -> None:
    matrix, bias = nn.Parameter(torch.ones(32, 32)), nn.Parameter(torch.ones(32))
    optimizer = Muon([matrix, bias], lr=0.5, weight_decay=0.1)
    matrix.grad, bias.grad = torch.zeros(32, 32), torch.zeros(32)
    optimizer.step()
    torch.testing.assert_close(matrix, torch.full((32, 32), 0.95))
    torch.testing.assert_close(bias, torch.ones(32))


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
def test_a_state_that_is_loaded_goes_on_alike(last: bool) -> None:
    def fresh() -> tuple[nn.Module, Muon]:
        net = module()
        for layer in (net[0], net[3]):
            layer.to(memory_format=torch.channels_last if last else torch.contiguous_format)
        return net, Muon(net.parameters(), lr=0.01, betas=(0.5, 0.9), weight_decay=0.1)

    whole, optimizer = fresh()
    for seed in range(4):
        with_gradients(whole, seed)
        optimizer.step()
    first, begun = fresh()
    for seed in range(2):
        with_gradients(first, seed)
        begun.step()
    second, resumed = fresh()
    second.load_state_dict(first.state_dict())
    restore_optimizer(resumed, begun.state_dict())
    for seed in (2, 3):
        with_gradients(second, seed)
        resumed.step()
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_it_computes_in_the_run_s_precision(precision: str, dtype: torch.dtype) -> None:
    optimizer = gan_optimizer(module(), 1e-3, (0.9, 0.99), make_fabric("cpu", 1, precision), "muon")
    assert isinstance(optimizer, Muon)
    assert optimizer.dtype == dtype


def test_a_weight_without_a_gradient_rests() -> None:
    weight = nn.Parameter(torch.ones(32, 32))
    Muon([weight], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(weight, torch.ones(32, 32))
