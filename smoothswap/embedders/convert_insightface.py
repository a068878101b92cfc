"""Weights of insightface's `arcface_torch` for `iresnet`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from smoothswap.core.errors import CheckpointError
from smoothswap.embedders.iresnet import BLOCKS, WIDTHS, IResNet
from smoothswap.modules.state_mapping import StateMapping

_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.")


def insightface_options(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Depth and length of the vectors, as the state dict shows them; what it does not show is left out.

    Raises:
        CheckpointError: an iResNet of another depth than `iresnet` knows.
    """
    options: dict[str, Any] = {}
    counts = [0] * len(WIDTHS)
    for key in state:
        found = _BLOCK.match(key)
        if found and "prelu" in key:  # ResNets have layers of these names too, without PReLU
            stage = int(found[1]) - 1
            counts[stage] = max(counts[stage], int(found[2]) + 1)
    depth = next((depth for depth, blocks in BLOCKS.items() if blocks == tuple(counts)), None)
    if depth is not None:
        options["depth"] = depth
    elif any(counts):
        raise CheckpointError(
            f"an iResNet with {', '.join(map(str, counts))} blocks in its stages is not known",
            *(f"depth {depth}: {', '.join(map(str, blocks))}" for depth, blocks in BLOCKS.items()),
            hint="The file may be incomplete; take the whole state dict of one of these depths.",
        )
    if "fc.bias" in state:
        options["dim"] = state["fc.bias"].shape[0]
    return options


def convert_insightface(state: Mapping[str, torch.Tensor], embedder: IResNet) -> dict[str, torch.Tensor]:
    """Map a state dict of `arcface_torch`'s iResNet to one of `embedder`; the names are the same.

    Args:
        state: tensors by name; files from before BatchNorm counted batches are accepted.
        embedder: the embedder that shall take them.

    Returns:
        a state dict that `embedder.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: a key is missing, left over or of another shape; the keys are named.
    """
    mapping = StateMapping(state, "insightface's iResNet")
    mapping.same_names(embedder)
    return mapping.finish(embedder)
