"""`smoothswap.convert`: from a file of each origin to a model file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import smoothswap
from smoothswap.conversion import ORIGINS, parse_options
from smoothswap.core.assets import shipped
from smoothswap.core.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from smoothswap.modules import weights
from smoothswap.modules.state_mapping import StateMapping

State = dict[str, Tensor]


def state_of(module: nn.Module, *, drop: str = "\0") -> State:
    return {name: value.clone() for name, value in module.state_dict().items() if not name.startswith(drop)}


@pytest.fixture(scope="module")
def iresnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a training on several processes leaves it, in half precision."""
    state = state_of(smoothswap.build("iresnet", depth=18, dim=4))
    half = {f"module.{name}": value.half() if value.is_floating_point() else value for name, value in state.items()}
    file = tmp_path_factory.mktemp("weights") / "checkpoint.pt"
    torch.save({"epoch": 1, "state_dict_backbone": half}, file)
    return file


def test_every_row_names_a_component_and_functions_that_exist() -> None:
    from smoothswap.conversion import _function

    for name, origin in ORIGINS.items():
        assert smoothswap.describe(name, origin.kind).component.kind == origin.kind
        for where in (origin.convert, origin.options, origin.read, origin.shipped):
            assert not where or callable(_function(where))


def test_iresnet_with_depth_hash_and_notes(iresnet_file: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(iresnet_file.read_bytes()).hexdigest()
    out = smoothswap.convert("iresnet", str(iresnet_file), tmp_path / "arcface.safetensors", file_sha256=digest.upper())
    model = smoothswap.load(out)
    assert (model.config.depth, model.dim, model.training) == (18, 4, False)
    stored = torch.load(iresnet_file, weights_only=True)["state_dict_backbone"]
    assert torch.equal(model.layer3[1].conv2.weight, stored["module.layer3.1.conv2.weight"].float())
    assert weights.read(out)[0]["notes"]["converted_from"] == {
        "origin": "insightface's arcface_torch (iResNet)",
        "file": "checkpoint.pt",
        "file_sha256": digest,
    }


def test_facenet_with_its_classifier(tmp_path: Path) -> None:
    original = smoothswap.build("inception_resnet_v1", dim=6)
    state = state_of(original) | {"logits.weight": torch.rand(3, 6), "logits.bias": torch.rand(3)}
    save_file(state, tmp_path / "vggface2.safetensors")
    model = smoothswap.load(
        smoothswap.convert("inception_resnet_v1", tmp_path / "vggface2.safetensors", tmp_path / "out.safetensors")
    )
    assert model.dim == 6
    assert torch.equal(model.last_linear.weight, original.last_linear.weight)


def test_torchvision_as_judge_and_as_start(tmp_path: Path) -> None:
    trunk = smoothswap.build("torchvision_resnet50").trunk
    state = state_of(trunk) | {"fc.weight": torch.rand(8631, 2), "fc.bias": torch.rand(8631)}
    old = {name: value for name, value in state.items() if not name.endswith("tracked")}
    torch.save(old, tmp_path / "resnet50.pth")
    judge = smoothswap.convert("torchvision_resnet50", tmp_path / "resnet50.pth", tmp_path / "judge.safetensors")
    stored = weights.read(judge)[1]
    assert torch.equal(stored["trunk.layer4.2.conv3.weight"], state["layer4.2.conv3.weight"])
    options: dict[str, Any] = {"dim": 8, "hidden": 4}
    torch.manual_seed(1)
    start = smoothswap.convert(
        "smooth_resnet50", tmp_path / "resnet50.pth", tmp_path / "start.safetensors", options=options
    )
    stored = weights.read(start)[1]
    assert torch.equal(stored["trunk.conv1.weight"], trunk.conv1.weight)
    torch.manual_seed(0)
    head = smoothswap.build("smooth_resnet50", **options).head
    assert torch.equal(stored["head.layers.0.weight"], head.layers[0].weight), "the new head is the same each time"


def test_sface_from_the_installed_file(tmp_path: Path) -> None:
    model = smoothswap.load(smoothswap.convert("sface", None, tmp_path / "sface.safetensors"))
    assert torch.equal(model.linear.weight, smoothswap.build("sface").linear.weight)


def test_stylegan2_ada_with_sizes_read_from_the_weights(tmp_path: Path) -> None:
    ours = smoothswap.build("stylegan2", image_size=16, channel_base=64, channel_max=12)
    names = {"from_rgb": "b16.fromrgb", "blocks.0": "b16", "blocks.1": "b8", "epilogue": "b4"}
    layers = {"conv": "conv0", "shrink": "conv1", "shortcut": "skip", "epilogue.conv": "conv"}
    layers |= {"linear": "fc", "out": "out"}
    state = {}
    for name, value in ours.state_dict().items():
        head = next(head for head in names if name.startswith(head))
        tail = name.removeprefix(head).lstrip(".")
        layer, _, part = tail.rpartition(".")
        layer = layers.get(f"{head}.{layer}") or layers.get(layer, "")
        state[".".join(filter(None, (names[head], layer, part)))] = torch.randn_like(value)
    torch.save(state, tmp_path / "d.pt")
    model = smoothswap.load(smoothswap.convert("stylegan2", tmp_path / "d.pt", tmp_path / "d.safetensors"))
    config = model.config
    assert (config.image_size, config.channel_base, config.channel_max, config.stddev_features) == (16, 64, 12, 1)
    assert torch.equal(model.blocks[1].shrink.weight, state["b8.conv1.weight"])


def test_score_sde_shows_its_width(tmp_path: Path) -> None:
    state = {
        "module.all_modules.0.W": torch.rand(8),
        "module.all_modules.1.weight": torch.rand(32, 16),
        "module.all_modules.1.bias": torch.rand(32),
    }
    from smoothswap.generators.convert_score_sde import score_sde_options

    assert score_sde_options(state) == {"base_channels": 8, "identity_dim": 16, "identity_scale": "unit_length"}
    torch.save(state, tmp_path / "s.pth")
    options = {"image_size": 8, "channel_multipliers": (1, 1), "attention_resolutions": ()}
    with pytest.raises(CheckpointError, match=r"not those of score_sde's NCSN\+\+[\s\S]*missing.*all_modules\.10\."):
        smoothswap.convert("smooth_unet", tmp_path / "s.pth", tmp_path / "s.safetensors", options=options)


def test_the_wrong_file_is_named_with_what_is_missing(iresnet_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    for name, missing in (("inception_resnet_v1", "block8.branch0.bn.bias"), ("torchvision_resnet50", "bn1")):
        if name == "torchvision_resnet50":
            missing = "layer1.0.conv3.weight"
        with pytest.raises(CheckpointError) as error:
            smoothswap.convert(name, iresnet_file, out)
        text = str(error.value)
        assert f"file: {iresnet_file}" in text
        assert missing in text
        assert "unexpected" in text
    save_file({"fc.bias": torch.ones(4), "x": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"missing \(\d+\): bn1\.bias, .* and \d+ more\n  unexpected \(1\): x\n"):
        smoothswap.convert("iresnet", tmp_path / "x.safetensors", out)
    assert not out.exists()


def test_wrong_options_and_outputs(iresnet_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(UnknownNameError, match=r"'iresnett'\. Did you mean 'iresnet'\?[\s\S]*sface: "):
        smoothswap.convert("iresnett", iresnet_file, out)
    with pytest.raises(UnknownNameError, match="'deph'.*Did you mean 'depth'"):
        smoothswap.convert("iresnet", iresnet_file, out, options={"deph": 18})
    with pytest.raises(CheckpointError, match="other shape .*fc.weight"):
        smoothswap.convert("iresnet", iresnet_file, out, options={"dim": 5})
    with pytest.raises(CheckpointError, match="not the file that was asked for"):
        smoothswap.convert("iresnet", iresnet_file, out, file_sha256="ab" * 32)
    with pytest.raises(InputError, match=r"does not end in \.safetensors[\s\S]*arcface\.safetensors"):
        smoothswap.convert("iresnet", iresnet_file, tmp_path / "arcface.pth")
    with pytest.raises(ConfigError, match="no file of weights is installed for 'iresnet'"):
        smoothswap.convert("iresnet", None, out)
    with pytest.raises(InputError, match="there is no folder"):
        smoothswap.convert("iresnet", iresnet_file, tmp_path / "nowhere" / "out.safetensors")
    out.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        smoothswap.convert("iresnet", iresnet_file, out)
    assert out.read_text() == "mine"
    with pytest.raises(InputError, match="is the file to read"):
        smoothswap.convert("iresnet", out, out, overwrite=True)


def test_options_from_words() -> None:
    assert parse_options("stylegan2", ["image_size=64", "fir_kernel=1,2,1"]) == {
        "image_size": 64,
        "fir_kernel": (1.0, 2.0, 1.0),
    }
    with pytest.raises(ConfigError, match="--set cannot be 'depth'"):
        parse_options("iresnet", ["depth"])


def test_same_names_takes_what_is_there() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    state = {name: torch.rand_like(value.float()) for name, value in module.state_dict().items()}
    del state["1.num_batches_tracked"]
    mapping = StateMapping(state, "the test")
    mapping.same_names(module)
    mapped = mapping.finish(module)
    assert torch.equal(mapped["1.running_var"], state["1.running_var"])
    assert mapped["1.num_batches_tracked"] == 0


@pytest.mark.parametrize("name", ["faceworld_64/embedder", "photos_128/generator"])
def test_a_model_of_our_own_needs_no_conversion(tmp_path: Path, name: str) -> None:
    file = shipped(f"{name}.safetensors")
    with pytest.raises(InputError, match=f"is a model of smoothswap already: the {name.split('/')[1]}"):
        smoothswap.convert("iresnet", file, tmp_path / "out.safetensors")
