"""The average of the weights: half-life in images, buffers copied."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smoothswap.training.ema import Ema


def test_half_of_the_old_weight_is_left_after_the_half_life() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(module.weight)
    ema = Ema(module, half_life=100, rampup=1.0)
    nn.init.zeros_(module.weight)
    for step in range(25):
        ema.update(module, 4, 1000 + 4 * step)
    assert ema.module.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_the_half_life_grows_with_the_images() -> None:
    ema = Ema(nn.Linear(1, 1), half_life=100, rampup=0.05)
    assert ema.decay(10, 200) == pytest.approx(0.5)
    assert ema.decay(10, 10_000) == pytest.approx(0.5**0.1)
    assert Ema(nn.Linear(1, 1), half_life=0, rampup=0.05).decay(10, 10_000) == 0


def test_running_statistics_and_counters_are_copied() -> None:
    module = nn.BatchNorm1d(2)
    ema = Ema(module, half_life=10_000, rampup=1.0)
    module(torch.randn(8, 2) + 3)
    ema.update(module, 8, 8)
    assert torch.equal(ema.module.running_mean, module.running_mean)  # type: ignore[arg-type]
    assert ema.module.num_batches_tracked == 1


def test_the_average_is_frozen_and_shares_nothing() -> None:
    module = nn.Linear(2, 2)
    ema = Ema(module, 10, 1.0)
    assert not ema.module.training
    assert not any(weight.requires_grad for weight in ema.module.parameters())
    assert ema.module.weight.data_ptr() != module.weight.data_ptr()
