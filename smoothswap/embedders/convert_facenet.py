"""Weights of facenet-pytorch (trained on VGGFace2 or CASIA-WebFace) for `inception_resnet_v1`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from smoothswap.embedders.inception_resnet_v1 import InceptionResnetV1
from smoothswap.modules.state_mapping import StateMapping

CLASSIFIER = ("logits.weight", "logits.bias")


def facenet_options(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Length of the vectors, as the state dict shows it; what it does not show is left out."""
    return {"dim": state["last_bn.bias"].shape[0]} if "last_bn.bias" in state else {}


def convert_facenet(state: Mapping[str, torch.Tensor], embedder: InceptionResnetV1) -> dict[str, torch.Tensor]:
    """Map a state dict of facenet-pytorch's `InceptionResnetV1` to one of `embedder`.

    The names are the same; the classifier of the training people is left out.

    Args:
        state: tensors by name; files from before BatchNorm counted batches are accepted.
        embedder: the embedder that shall take them.

    Returns:
        a state dict that `embedder.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: a key is missing, left over or of another shape; the keys are named.
    """
    mapping = StateMapping(state, "facenet-pytorch's InceptionResnetV1")
    for key in CLASSIFIER:
        mapping.drop(key)
    mapping.same_names(embedder)
    return mapping.finish(embedder)
