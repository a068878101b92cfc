import pytest
import torch
import torch.nn.functional as F

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError

TINY = {
    "image_size": 16,
    "base_channels": 8,
    "channel_multipliers": (1, 2),
    "blocks_per_level": 1,
    "attention_resolutions": (8,),
    "identity_dim": 6,
}
VARIANTS = [
    {},
    {"injection": "adain"},
    {"injection": "modulated"},
    {"block": "ddpm"},
    {"block": "ddpm", "resample_with_convolution": False},
    {"block": "ddpm", "resampling": "nearest"},
    {"resampling": "nearest", "skip_rescale": False},
    {"progressive": "none", "progressive_input": "none"},
    {"progressive": "residual", "progressive_input": "residual"},
    {"progressive": "residual", "progressive_input": "residual", "resampling": "nearest"},
    {"progressive_combine": "cat"},
    {"identity_mlp_layers": 0},
    {"identity_mlp_layers": 3, "identity_scale": "unit_length"},
    {"attention_resolutions": (), "fir_kernel": (1.0, 2.0, 1.0)},
    {"recompute": True, "blocks_per_level": 2},
]


def make(**options):
    torch.manual_seed(0)
    return smoothswap.build("smooth_unet", **{**TINY, **options})


def inputs(batch=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(batch, 3, 16, 16, generator=generator) * 2 - 1
    return target.to(dtype), F.normalize(torch.randn(batch, 6, generator=generator), dim=1).to(dtype)


def shake(module):
    """Away from the near-zero start."""
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return module


def test_default_has_65_7_million_parameters():
    with torch.device("meta"):
        generator = smoothswap.build("smooth_unet")
    assert sum(p.numel() for p in generator.parameters()) == 65_705_493


@pytest.mark.parametrize("options", VARIANTS)
def test_starts_as_the_identity_map(options):
    target, identity = inputs()
    torch.testing.assert_close(make(**options)(target, identity), target, atol=1e-3, rtol=0)


@pytest.mark.parametrize("options", VARIANTS)
def test_identity_changes_the_output_and_gradients_reach_every_parameter(options):
    generator = shake(make(**options))
    target, identity = inputs()
    swapped = generator(target, identity)
    assert swapped.shape == target.shape
    assert (swapped - generator(target, -identity)).abs().max() > 1e-3
    swapped.square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_recompute_changes_no_gradient():
    target, identity = inputs()
    gradients = []
    for recompute in (False, True):
        generator = shake(make(recompute=recompute))
        generator(target, identity).square().sum().backward()
        gradients.append(generator.stem.weight.grad)
    torch.testing.assert_close(*gradients)


def test_unit_variance_scales_by_the_root_of_the_dimension():
    target, identity = inputs()
    scaled, plain = shake(make()), make(identity_scale="unit_length")
    plain.load_state_dict(scaled.state_dict())
    torch.testing.assert_close(scaled(target, identity), plain(target, identity * 6**0.5))


def test_direct_identity_is_the_embedding():
    _, identity = inputs()
    generator = make(identity_mlp_layers=0)
    assert len(generator.identity_mlp) == 0
    torch.testing.assert_close(generator.embed(identity), identity * 6**0.5)


def test_dropout_only_while_training():
    generator = shake(make(dropout=0.5))
    target, identity = inputs()
    assert not torch.equal(generator(target, identity), generator(target, identity))
    generator.eval()
    assert torch.equal(generator(target, identity), generator(target, identity))


def test_channels_last_and_double_and_autocast():
    generator = shake(make())
    target, identity = inputs()
    expected = generator(target, identity)
    last = generator.to(memory_format=torch.channels_last)(
        target.contiguous(memory_format=torch.channels_last), identity
    )
    torch.testing.assert_close(last, expected, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = generator(target, identity)
    assert half.dtype == torch.float32
    assert (half - expected).abs().mean() < 0.05 * expected.abs().mean()
    double = generator.double()(target.double(), identity.double())
    torch.testing.assert_close(double.float(), expected, atol=1e-4, rtol=1e-4)


def test_empty_batch():
    assert make()(torch.empty(0, 3, 16, 16), torch.empty(0, 6)).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    ("target", "identity", "message"),
    [
        (torch.zeros(2, 3, 16, 15), torch.zeros(2, 6), r"target .*\[2, 3, 16, 15\].*\[B, 3, 16, 16\]"),
        (torch.zeros(3, 16, 16), torch.zeros(1, 6), r"\[3, 16, 16\]"),
        (torch.zeros(2, 3, 16, 16), torch.zeros(2, 5), r"identity .*\[2, 5\].*\[2, 6\]"),
        (torch.zeros(2, 3, 16, 16), torch.zeros(1, 6), r"\[1, 6\].*\[2, 6\]"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.zeros(2, 6), r"uint8"),
    ],
)
def test_wrong_tensors(target, identity, message):
    with pytest.raises(ArgumentError, match=message):
        make()(target, identity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 18, "channel_multipliers": (1, 2, 2)}, "image_size=18 cannot be halved 2 times"),
        ({"image_size": 2, "attention_resolutions": ()}, "image_size=2"),
        ({"channel_multipliers": ()}, "channel_multipliers is empty"),
        ({"attention_resolutions": (5,)}, "names 5, which no level has"),
        ({"fir_kernel": (1.0, -1.0)}, "no resampling filter"),
        ({"progressive": "skip"}, "progressive"),
        ({"base_channels": 0}, "base_channels"),
        ({"dropout": 1.0}, "dropout"),
        ({"identity_mlp_layers": -1}, "identity_mlp_layers"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)
