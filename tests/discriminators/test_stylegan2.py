import pytest
import torch

import smoothswap
from smoothswap.core.errors import ConfigError

TINY = {"image_size": 16, "channel_base": 128, "channel_max": 16}


def make(**options):
    torch.manual_seed(0)
    return smoothswap.build("stylegan2", **{**TINY, **options})


def images(batch=4):
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_default_has_28_86_million_parameters():
    with torch.device("meta"):
        discriminator = smoothswap.build("stylegan2")
    assert sum(p.numel() for p in discriminator.parameters()) == 28_864_129


def test_channels_of_the_default():
    config = smoothswap.build("stylegan2", **TINY).config
    wide = type(config)()
    assert [wide.channels(size) for size in (256, 128, 64, 32, 4)] == [128, 256, 512, 512, 512]


def test_second_derivative_is_right():
    discriminator = make(channel_base=64, channel_max=4).double()
    real = images(2).double().requires_grad_()
    weight = discriminator.blocks[0].conv.weight

    def penalty():
        (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
        return gradient.square().sum()

    (analytic,) = torch.autograd.grad(penalty(), weight)
    step = 1e-6
    with torch.no_grad():
        weight[0, 0, 1, 1] += step
    above = penalty().item()
    with torch.no_grad():
        weight[0, 0, 1, 1] -= 2 * step
    below = penalty().item()
    assert analytic[0, 0, 1, 1].item() == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-12)


def test_clamp_limits_the_activations():
    clamped = make(conv_clamp=0.1)
    seen = []
    clamped.blocks[0].conv.register_forward_hook(lambda *args: seen.append(args[-1].abs().max().item()))
    clamped(images())
    assert seen[0] == pytest.approx(0.1)


def test_channels_last_and_autocast():
    discriminator = make()
    expected = discriminator(images())
    last = discriminator.to(memory_format=torch.channels_last)(images().to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, atol=1e-4, rtol=1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = discriminator(images())
    torch.testing.assert_close(half.float(), expected, atol=0.1, rtol=0.1)


def test_deviation_can_be_left_out_and_batches_are_free():
    plain = make(stddev_features=0)
    torch.testing.assert_close(plain(images(4))[:1], plain(images(4)[:1]))
    assert make()(images(3)).shape == (3, 1)
    assert make()(images(0)).shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 24}, "not a power of two"),
        ({"image_size": 4}, "image_size"),
        ({"channel_base": 8}, "no channel"),
        ({"fir_kernel": (1.0,)}, "no resampling filter"),
        ({"stddev_features": 3}, "does not divide"),
        ({"conv_clamp": 0.0}, "conv_clamp"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)
