import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import smoothswap
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.errors import ArgumentError, ConfigError, PluginError
from smoothswap.modules.injections.options import InjectionOptions

PAGE = Path(__file__).parents[2] / "docs" / "models.md"

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


class Tried(nn.Module):
    """An injection that gives what is asked of it."""

    @dataclass(frozen=True, kw_only=True)
    class Config(InjectionOptions):
        """Options."""

        gives: str = "features"

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(config.channels, config.channels, 1 if config.gives == "mixed" else 3, padding="same")

    def forward(self, features, embedding):
        given = self.conv(features)
        return {
            "means": lambda: given.mean((2, 3), keepdim=True),
            "half": lambda: given[:, :-1],
            "small": lambda: given[..., ::2, ::2],
            "pair": lambda: (given, embedding),
        }.get(self.config.gives, lambda: given)()


def built_with(monkeypatch, gives):
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", dict(CATALOGUE._rows))
    smoothswap.register("test_tried", kind="injection")(Tried)
    return smoothswap.build("smooth_unet_64", injection="test_tried", injection_options={"gives": gives})


@pytest.mark.parametrize(
    ("gives", "found"), [("means", "1, 1]"), ("half", "4, 4]"), ("small", "2, 2]"), ("pair", "a tuple")]
)
def test_another_shape_is_refused_when_a_generator_is_built(monkeypatch, gives, found):
    with pytest.raises(PluginError, match="test_tried' gave .*expected") as error:
        built_with(monkeypatch, gives)
    assert found in error.value.what


def test_a_missing_convolution_is_warned_of(monkeypatch):
    with pytest.warns(UserWarning, match="'test_tried' has no convolution"):
        built_with(monkeypatch, "mixed")
    with warnings.catch_warnings(action="error"):
        built_with(monkeypatch, "features")


def test_trying_an_injection_changes_nothing(monkeypatch):
    torch.manual_seed(0)
    first = built_with(monkeypatch, "features")
    state = torch.get_rng_state()
    monkeypatch.setattr("smoothswap.generators.unet_levels.check_contract", lambda *_: None)
    torch.manual_seed(0)
    again = built_with(monkeypatch, "features")
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert all(module.training for module in first.modules())


def test_the_page_s_injection_is_a_whole_one(monkeypatch):
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", dict(CATALOGUE._rows))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = next(block for block in blocks if 'kind="injection"' in block)
    page = {"__name__": "page"}
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), page)
    generator = page["generator"]

    def weights(model):
        return sum(weight.numel() for weight in model.parameters())

    # A linear layer of C outputs instead of one of 2C: within a few hundredths of the shipped ones, not two thirds.
    assert 0.9 < weights(generator) / weights(smoothswap.build("smooth_unet_64", injection="adagn")) < 1
    assert generator.down[0].blocks[0].injection.norm.num_groups == 8
    target = torch.rand(2, 3, 64, 64) * 2 - 1
    assert (generator(target, torch.randn(2, 256)) - target).abs().max() < 0.01
