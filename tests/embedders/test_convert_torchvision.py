import pytest
import torch

import smoothswap
from smoothswap.core.errors import CheckpointError
from smoothswap.embedders.convert_torchvision import convert_torchvision


def original():
    """Names and shapes of torchvision's resnet50, written from its structure."""
    state = {}

    def convolution(name, out, into, side):
        state[f"{name}.weight"] = torch.empty(out, into, side, side)

    def norm(name, channels):
        for key in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{key}"] = torch.empty(channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", 64, 3, 7)
    norm("bn1", 64)
    into = 64
    for layer, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=1):
        for block in range(count):
            name = f"layer{layer}.{block}"
            for i, shape in enumerate([(width, into, 1), (width, width, 3), (4 * width, width, 1)], start=1):
                convolution(f"{name}.conv{i}", *shape)
                norm(f"{name}.bn{i}", shape[0])
            if block == 0:
                convolution(f"{name}.downsample.0", 4 * width, into, 1)
                norm(f"{name}.downsample.1", 4 * width)
            into = 4 * width
    return state | {"fc.weight": torch.empty(1000, 2048), "fc.bias": torch.empty(1000)}


@pytest.fixture(scope="module")
def embedder():
    return smoothswap.build("smooth_resnet50", dim=8, hidden=16)


def test_trunk_has_torchvisions_names(embedder):
    assert set(embedder.trunk.state_dict()) == {key for key in original() if not key.startswith("fc.")}


def test_every_tensor_finds_its_place(embedder):
    state = original()
    converted = convert_torchvision(state, embedder)
    assert set(converted) == set(embedder.state_dict())
    assert converted["trunk.layer3.0.downsample.1.num_batches_tracked"] == 7
    assert converted["trunk.conv1.weight"].data_ptr() == state["conv1.weight"].data_ptr()
    assert torch.equal(converted["head.layers.0.weight"], embedder.head.layers[0].weight)


def test_stride_is_in_the_3x3(embedder):
    block = embedder.trunk.get_submodule("layer2.0")
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


def test_old_files_without_batch_counts(embedder):
    state = {key: value for key, value in original().items() if not key.endswith("tracked")}
    assert convert_torchvision(state, embedder)["trunk.bn1.num_batches_tracked"] == 0


def test_errors_name_the_keys(embedder):
    state = original()
    del state["layer4.2.conv3.weight"]
    state["layer4.3.conv1.weight"] = torch.empty(1)
    with pytest.raises(CheckpointError, match=r"layer4\.2\.conv3\.weight[\s\S]*layer4\.3\.conv1\.weight"):
        convert_torchvision(state, embedder)
