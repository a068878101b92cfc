"""Weights of StyleGAN2-ADA's discriminator (PyTorch) under the names of `stylegan2`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from smoothswap.core.errors import CheckpointError
from smoothswap.discriminators.stylegan2 import SMALLEST, StyleGAN2Discriminator
from smoothswap.modules.state_mapping import StateMapping
from smoothswap.ops import setup_filter

_FROM_RGB = re.compile(r"b(\d+)\.fromrgb\.weight")


def stylegan2_ada_options(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Sizes of the discriminator, as its layers show them; what they do not show is left out."""
    sizes = [int(found[1]) for key in state if (found := _FROM_RGB.fullmatch(key))]
    last = state.get(f"b{SMALLEST}.conv.weight")
    if len(sizes) != 1 or last is None:
        return {}
    size, widest = sizes[0], last.shape[0]
    channels = state[f"b{size}.fromrgb.weight"].shape[0]
    features = last.shape[1] - widest
    return {
        "image_size": size, "channel_base": channels * size, "channel_max": widest, "stddev_features": features
    }  # fmt: skip


def convert_stylegan2_ada(
    state: Mapping[str, torch.Tensor], discriminator: StyleGAN2Discriminator
) -> dict[str, torch.Tensor]:
    """Map a state dict of StyleGAN2-ADA's `Discriminator` to one of `discriminator`.

    Args:
        state: tensors by name, of the residual architecture without labels (`c_dim=0`).
        discriminator: one with the same size, channels, filter and minibatch deviation.

    Returns:
        a state dict that `discriminator.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: a discriminator with labels, another filter, or a key is missing, left over or of another
            shape; the keys are named.
    """
    if any(key.startswith("mapping.") for key in state):
        raise CheckpointError(
            "this StyleGAN2-ADA discriminator takes labels, and `stylegan2` does not",
            "it has the keys mapping.*",
            hint="Take weights that were trained without labels.",
        )
    mapping = StateMapping(state, "StyleGAN2-ADA's discriminator")
    _check_filters(mapping, state, discriminator)

    full = discriminator.image_size
    mapping.layer(f"b{full}.fromrgb", "from_rgb")
    for i in range(len(discriminator.blocks)):
        source, name = f"b{full >> i}", f"blocks.{i}"
        mapping.layer(f"{source}.conv0", f"{name}.conv")
        mapping.layer(f"{source}.conv1", f"{name}.shrink")
        mapping.layer(f"{source}.skip", f"{name}.shortcut", bias=False)
    mapping.layer(f"b{SMALLEST}.conv", "epilogue.conv")
    mapping.layer(f"b{SMALLEST}.fc", "epilogue.linear")
    mapping.layer(f"b{SMALLEST}.out", "epilogue.out")
    return mapping.finish(discriminator)


def _check_filters(
    mapping: StateMapping, state: Mapping[str, torch.Tensor], discriminator: StyleGAN2Discriminator
) -> None:
    """Leave out the blur filters, which are options here, after a look at whether they are the same."""
    expected = setup_filter(discriminator.config.fir_kernel)
    for key, value in state.items():
        if not key.endswith("resample_filter"):
            continue
        mapping.drop(key)
        found = value.detach().to(expected)
        # Layers that do not resample keep a filter that they never use.
        layer = key.removesuffix(".resample_filter").rpartition(".")[2]
        if layer not in ("conv1", "skip"):
            continue
        if found.shape != expected.shape or not torch.allclose(found, expected, atol=1e-6):
            raise CheckpointError(
                f"{key} is another blur than fir_kernel={discriminator.config.fir_kernel}",
                f"row sums of the filter in the file: {[round(float(row.sum()), 4) for row in found]}",
                hint="Build the discriminator with the fir_kernel of the weights.",
            )
