"""Weights of torchvision's ResNet-50 for `torchvision_resnet50` and for the trunk of `smooth_resnet50`."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from smoothswap.embedders.smooth_resnet50 import SmoothResNet50
from smoothswap.embedders.torchvision_resnet50 import TorchvisionResNet50
from smoothswap.modules.state_mapping import StateMapping

CLASSIFIER = ("fc.weight", "fc.bias")


def convert_torchvision(
    state: Mapping[str, torch.Tensor], embedder: SmoothResNet50 | TorchvisionResNet50
) -> dict[str, torch.Tensor]:
    """Map a state dict of torchvision's `resnet50` to one of `embedder`.

    The names of the trunk are torchvision's; the classifier `fc` is left out, whatever it tells apart. With
    `torchvision_resnet50` the embedder is then torchvision's. With `smooth_resnet50` the head keeps the embedder's own
    weights, and the pictures are not the same (torchvision's are normalised by ImageNet's mean and deviation, the
    embedder's are in [-1, 1]), so that the weights are a start for training.

    Args:
        state: tensors by name; checkpoints from before BatchNorm counted batches are accepted.
        embedder: the embedder that shall take them.

    Returns:
        a state dict that `embedder.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: a key is missing, left over or of another shape; the keys are named.
    """
    mapping = StateMapping(state, "torchvision's resnet50")
    for key in CLASSIFIER:
        mapping.drop(key)
    mapping.keep(embedder, "head")
    mapping.same_names(embedder.trunk, "trunk.")
    return mapping.finish(embedder)
