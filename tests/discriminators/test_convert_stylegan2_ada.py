import pytest
import torch

import smoothswap
from smoothswap.core.errors import CheckpointError
from smoothswap.discriminators.convert_stylegan2_ada import convert_stylegan2_ada
from smoothswap.ops import setup_filter

CHANNELS = {16: 8, 8: 16, 4: 16}


def original():
    """Names and shapes of StyleGAN2-ADA's discriminator at 16 px with channel_base=128 and channel_max=16."""
    blur, state = setup_filter((1, 3, 3, 1)), {}
    for size in (16, 8):
        wide, narrow = CHANNELS[size], CHANNELS[size // 2]
        layers = {"conv0": (wide, wide, 3), "conv1": (narrow, wide, 3), "skip": (narrow, wide, 1)}
        if size == 16:
            layers["fromrgb"] = (wide, 3, 1)
        state[f"b{size}.resample_filter"] = blur
        for name, (out, into, side) in layers.items():
            state[f"b{size}.{name}.weight"] = torch.randn(out, into, side, side)
            state[f"b{size}.{name}.resample_filter"] = blur
            if name != "skip":
                state[f"b{size}.{name}.bias"] = torch.randn(out)
    state |= {"b4.conv.weight": torch.randn(16, 17, 3, 3), "b4.conv.bias": torch.randn(16)}
    state |= {"b4.fc.weight": torch.randn(16, 256), "b4.fc.bias": torch.randn(16)}
    state |= {"b4.out.weight": torch.randn(1, 16), "b4.out.bias": torch.randn(1)}
    return state | {"b4.conv.resample_filter": torch.ones(1, 1)}


@pytest.fixture
def discriminator():
    return smoothswap.build("stylegan2", image_size=16, channel_base=128, channel_max=16)


def test_every_tensor_finds_its_place(discriminator):
    state = original()
    converted = convert_stylegan2_ada(state, discriminator)
    discriminator.load_state_dict(converted, strict=True)
    assert len(converted) == sum(not key.endswith("filter") for key in state)
    assert torch.equal(discriminator.from_rgb.weight, state["b16.fromrgb.weight"])
    assert torch.equal(discriminator.blocks[1].shrink.weight, state["b8.conv1.weight"])
    assert torch.equal(discriminator.blocks[0].shortcut.weight, state["b16.skip.weight"])
    assert torch.equal(discriminator.epilogue.linear.bias, state["b4.fc.bias"])


def test_errors_name_the_keys(discriminator):
    state = original()
    del state["b8.conv0.bias"]
    state["b4.extra"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"missing \(1\): b8\.conv0\.bias[\s\S]*unexpected \(1\): b4\.extra"):
        convert_stylegan2_ada(state, discriminator)
    state = original() | {"b4.fc.weight": torch.zeros(8, 256)}
    with pytest.raises(CheckpointError, match=r"epilogue\.linear\.weight \[8, 256\].*\[16, 256\]"):
        convert_stylegan2_ada(state, discriminator)
    with pytest.raises(CheckpointError, match="takes labels"):
        convert_stylegan2_ada(original() | {"mapping.embed.weight": torch.zeros(1)}, discriminator)
    blur = {"b8.skip.resample_filter": setup_filter((1, 2, 2, 1))}
    with pytest.raises(CheckpointError, match=r"b8\.skip\.resample_filter is another blur"):
        convert_stylegan2_ada(original() | blur, discriminator)
