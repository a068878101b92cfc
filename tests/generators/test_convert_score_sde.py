import pytest
import torch

import smoothswap
from smoothswap.core.errors import CheckpointError
from smoothswap.generators.convert_score_sde import convert_score_sde

NF, E = 8, 32


def original(listed_pyramids=False):
    """Names and shapes of NCSN++: 16 px, nf 8, ch_mult (1, 2), one block a level, attention in the middle."""
    state, index = {}, 0

    def put(entries):
        nonlocal index
        for name, shape in entries.items():
            state[f"all_modules.{index}.{name}"] = torch.randn(*shape)
        index += 1

    def layer(name, out, *rest):
        return {f"{name}weight": (out, *rest), f"{name}bias": (out,)}

    def block(into, out, resampled=False):
        entries = layer("GroupNorm_0.", into) | layer("Conv_0.", out, into, 3, 3) | layer("Dense_0.", out, E)
        entries |= layer("GroupNorm_1.", out) | layer("Conv_1.", out, out, 3, 3)
        return put(entries | (layer("Conv_2.", out, into, 1, 1) if resampled or into != out else {}))

    put({"W": (NF,)})
    put(layer("", E, 2 * NF))
    put(layer("", E, E))
    put(layer("", NF, 3, 3, 3))
    block(8, 8)
    block(8, 8, resampled=True)
    index += listed_pyramids
    put(layer("Conv_0.", 8, 3, 1, 1))
    block(8, 16)
    block(16, 16)
    attention = layer("GroupNorm_0.", 16)
    for i in range(4):
        attention |= {f"NIN_{i}.W": (16, 16), f"NIN_{i}.b": (16,)}
    put(attention)
    block(16, 16)
    block(16 + 16, 16)
    block(16 + 8, 16)
    put(layer("", 16))
    put(layer("", 3, 16, 3, 3))
    block(16, 16, resampled=True)
    block(16 + 8, 8)
    block(8 + 8, 8)
    index += listed_pyramids
    put(layer("", 8))
    put(layer("", 3, 8, 3, 3))
    return state | {"sigmas": torch.ones(10)}


def make(**options):
    defaults = {"image_size": 16, "base_channels": NF, "channel_multipliers": (1, 2), "blocks_per_level": 1}
    defaults |= {"attention_resolutions": (), "identity_dim": 2 * NF, "identity_scale": "unit_length"}
    return smoothswap.build("smooth_unet", **{**defaults, **options})


@pytest.mark.parametrize("listed", [False, True])
def test_every_tensor_finds_its_place(listed):
    state, generator = original(listed), make()
    generator.load_state_dict(convert_score_sde(state, generator), strict=True)
    values = list(state.values())
    assert sum(p.numel() for p in generator.parameters()) == sum(v.numel() for v in values) - NF - 10
    assert torch.equal(generator.identity_mlp[0].weight, state["all_modules.1.weight"])
    assert torch.equal(generator.down[0].from_pyramid.weight, state[f"all_modules.{6 + listed}.Conv_0.weight"])
    middle = f"all_modules.{9 + listed}"
    value = state[f"{middle}.NIN_2.W"]
    assert torch.equal(generator.middle.attention.qkv.weight[32:, :, 0, 0], value.T)
    assert torch.equal(generator.middle.attention.project.bias, state[f"{middle}.NIN_3.b"])
    last = max(int(key.split(".")[1]) for key in state if key.startswith("all"))
    assert torch.equal(generator.up[1].to_pyramid.conv.weight, state[f"all_modules.{last}.weight"])


def test_own_identity_mlp_can_be_kept():
    generator = make(identity_dim=5)
    state = {f"module.{key}": value for key, value in original().items()}
    converted = convert_score_sde(state, generator, identity_mlp=False)
    assert torch.equal(converted["identity_mlp.0.weight"], generator.identity_mlp[0].weight)


def test_errors_name_the_keys():
    state = original()
    del state["all_modules.4.Conv_0.bias"]
    state["all_modules.4.Conv_9.bias"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"all_modules\.4\.Conv_0\.bias[\s\S]*all_modules\.4\.Conv_9\.bias"):
        convert_score_sde(state, make())
    with pytest.raises(CheckpointError, match=r"identity_mlp\.0\.weight \[32, 16\].*\[32, 5\]"):
        convert_score_sde(original(), make(identity_dim=5))
    with pytest.raises(CheckpointError, match="injection 'add'"):
        convert_score_sde(original(), make(injection="adain"))
