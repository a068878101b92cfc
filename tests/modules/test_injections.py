import pytest
import torch

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError

NAMES = ["adagn", "add", "adain", "modulated"]


def make(name, **options):
    torch.manual_seed(0)
    return smoothswap.build(name, kind="injection", channels=8, embedding_dim=5, **options)


@pytest.mark.parametrize("name", NAMES)
def test_starts_near_zero(name):
    assert make(name)(torch.randn(2, 8, 4, 4), torch.randn(2, 5)).abs().max() < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_embedding_changes_the_output_of_its_own_image_only(name):
    module = make(name, init_scale=1.0)
    h, e = torch.randn(2, 8, 4, 4), torch.randn(2, 5)
    other = torch.stack([e[0], -2 * e[1]])
    first, second = module(h, e), module(h, other)
    torch.testing.assert_close(first[0], second[0])
    assert (first[1] - second[1]).abs().max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    module = make(name, init_scale=1.0)
    module(torch.randn(2, 8, 4, 4), torch.randn(2, 5)).square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


def test_adain_is_instance_norm_at_zero_style():
    module = make("adain", init_scale=1.0)
    torch.nn.init.zeros_(module.style.weight)
    h = 3 * torch.randn(2, 8, 4, 4) + 1
    expected = module.conv(torch.nn.functional.silu(torch.nn.functional.instance_norm(h)))
    torch.testing.assert_close(module(h, torch.randn(2, 5)), expected)


def test_adagn_scales_and_shifts_what_group_norm_gives():
    module = make("adagn", init_scale=1.0)
    h, e = 3 * torch.randn(2, 8, 4, 4) + 1, torch.randn(2, 5)
    gamma, beta = module.style(torch.nn.functional.silu(e))[:, :, None, None].split(8, dim=1)
    normed = torch.nn.functional.group_norm(h, 2, module.norm.weight, module.norm.bias, eps=1e-6)
    torch.testing.assert_close(module(h, e), module.conv(torch.nn.functional.silu((1 + gamma) * normed + beta)))


@pytest.mark.parametrize("name", NAMES)
def test_map_of_one_pixel(name):
    assert torch.isfinite(make(name)(torch.randn(2, 8, 1, 1), torch.randn(2, 5))).all()


@pytest.mark.parametrize("name", NAMES)
def test_errors(name):
    with pytest.raises(ArgumentError, match=r"\[2, 7, 4, 4\].*\[B, 8, H, W\]"):
        make(name)(torch.randn(2, 7, 4, 4), torch.randn(2, 5))
    with pytest.raises(ArgumentError, match=r"\[3, 5\].*\[2, 5\]"):
        make(name)(torch.randn(2, 8, 4, 4), torch.randn(3, 5))
    with pytest.raises(ConfigError, match="dropout"):
        make(name, dropout=1.0)
