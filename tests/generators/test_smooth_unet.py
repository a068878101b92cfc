import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.generators.smooth_unet import fold, smooth_chroma, unfold

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
    {"injection": "adagn"},
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
    {"scene_dim": 5},
    {"scene_dim": 3, "patch": 2, "attention_resolutions": (4,), "injection": "adagn"},
    {"recompute": True, "blocks_per_level": 2},
    {"chroma_patch": 4},
    {"patch": 2, "attention_resolutions": (4,)},
    {"patch": 4, "channel_multipliers": (1,), "attention_resolutions": ()},
    {"patch": 2, "attention_resolutions": (), "progressive": "none", "progressive_input": "residual"},
]
BLENDS = [
    {"output": "blend"},
    {"output": "blend", "patch": 2, "attention_resolutions": (4,)},
    {"output": "blend", "patch": 2, "attention_resolutions": (8,), "progressive": "none", "block": "ddpm"},
    {"output": "blend", "progressive": "residual", "progressive_input": "residual"},
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


@pytest.mark.parametrize("options", BLENDS)
def test_blend_starts_near_the_target(options):
    target, identity = inputs()
    # A share of the image that the network draws, which is still grey (0): 0.05 + 0.95 σ(−3) = 0.095.
    expected = target * (1 - (0.05 + 0.95 / (1 + math.exp(3))))
    torch.testing.assert_close(make(**options)(target, identity), expected, atol=1e-3, rtol=0)


def test_blend_is_between_the_target_and_what_is_drawn():
    generator = make(output="blend", progressive="none")
    target, identity = inputs()
    drawn = torch.tensor([0.5, -0.25, 1.0])
    generator.head.conv.weight.data.zero_()
    for mask, share in ((-97.0, 0.05), (3.0, 0.525), (103.0, 1.0)):
        generator.head.conv.bias.data = torch.cat([drawn, torch.tensor([mask])])
        expected = (1 - share) * target + share * drawn[None, :, None, None]
        torch.testing.assert_close(generator(target, identity), expected)


def test_patches_fold_into_channels_and_back():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    # The channels are the places in a patch, row by row.
    assert fold(image, 2)[0, :, 0, 1].tolist() == [2, 3, 6, 7]
    assert fold(image, 2).shape == (1, 4, 2, 2)
    for images, patch in product((torch.rand(2, 3, 12, 12), torch.rand(0, 3, 12, 12)), (1, 2, 3, 4)):
        folded = fold(images, patch)
        assert folded.shape == (len(images), 3 * patch**2, 12 // patch, 12 // patch)
        assert torch.equal(unfold(folded, patch), images)
    images = torch.rand(2, 3, 12, 12)
    last = fold(images.contiguous(memory_format=torch.channels_last), 2)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, fold(images, 2))


def test_patches_make_the_first_level_smaller_and_its_images_deeper():
    generator = make(patch=2, attention_resolutions=(4,))
    assert generator.config.sizes == (8, 4)
    assert generator.stem.weight.shape == (8, 12, 3, 3)
    assert generator.up[-1].to_pyramid.conv.weight.shape == (12, 8, 3, 3)
    assert make(patch=2, output="blend", attention_resolutions=()).up[-1].to_pyramid.conv.weight.shape[0] == 16
    target, identity = inputs()
    assert generator(target, identity).shape == (2, 3, 16, 16)


def luma(x):
    return 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]


@pytest.mark.parametrize(("side", "patch"), [(32, 4), (24, 8), (16, 2)])
def test_smooth_chroma_keeps_brightness_and_the_colour_of_large_areas(side, patch):
    change = torch.rand(2, 3, side, side) - 0.5
    smooth = smooth_chroma(change, patch)
    torch.testing.assert_close(luma(smooth), luma(change))  # the colour of one brightness may be any
    flat = change.mean((2, 3), keepdim=True).expand_as(change)
    torch.testing.assert_close(smooth_chroma(flat.contiguous(), patch), flat)
    assert smooth_chroma(change, 1) is change


def test_smooth_chroma_removes_a_coloured_line_and_leaves_a_grey_one():
    line = torch.zeros(1, 3, 32, 32)
    line[..., 16] = 1.0
    torch.testing.assert_close(smooth_chroma(line, 8), line)
    red = line * torch.tensor([1.0, -0.299 / 0.587, 0.0]).view(1, 3, 1, 1)  # of no brightness
    assert smooth_chroma(red, 8).abs().max() < 0.2


def test_chroma_patch_smooths_what_the_generator_changes():
    plain, smooth = make(), make(chroma_patch=4)
    smooth.load_state_dict(plain.state_dict())
    target, identity = inputs()
    changes = [model(target, identity) - target for model in (plain, smooth)]
    torch.testing.assert_close(changes[1], smooth_chroma(changes[0], 4), atol=1e-6, rtol=1e-5)


def test_the_blending_preset_is_for_64_px():
    generator = smoothswap.build("smooth_unet_64_blend", identity_dim=6)
    assert (generator.config.patch, generator.config.output, generator.image_size) == (2, "blend", 64)
    assert generator.config.sizes == (32, 16, 8)
    _, identity = inputs(1)
    assert generator(torch.zeros(1, 3, 64, 64), identity).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("options", VARIANTS + BLENDS)
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


@pytest.mark.parametrize("options", VARIANTS + BLENDS)
def test_empty_batch(options):
    swapped = make(**options)(torch.empty(0, 3, 16, 16, requires_grad=True), torch.empty(0, 6))
    assert swapped.shape == (0, 3, 16, 16)
    swapped.sum().backward()


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
        ({"patch": 3}, r"image_size=16 cannot be folded into patches of 3 and halved 1 times(?s:.*)multiple of 6"),
        ({"patch": 8}, r"patches of 8 and halved 1 times(?s:.*)at least 32"),
        ({"chroma_patch": 3}, "image_size=16 cannot be divided into squares of chroma_patch=3"),
        ({"chroma_patch": 32}, "squares of chroma_patch=32"),
        ({"patch": 0}, "'patch' of SmoothUnet cannot be 0"),
        ({"patch": 2, "attention_resolutions": (16,)}, "names 16, which no level has(?s:.*)8, 4"),
        ({"output": "mix"}, "output"),
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
