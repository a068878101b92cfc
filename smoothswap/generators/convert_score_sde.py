"""Weights of score_sde's NCSN++ (PyTorch) under the names of `smooth_unet`.

score_sde keeps its layers in one list, `all_modules`, in the order in which they run; this file walks a `SmoothUnet`
in the same order. The two linear layers of the time embedding become the identity MLP, where their sizes allow it;
the Fourier features in front of them have no counterpart and are left out. The models then agree when both get the
same embedding, `identity_scale` is `unit_length`, and score_sde's division by sigma is off; `smooth_unet` adds the
target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from smoothswap.core.errors import CheckpointError
from smoothswap.generators.smooth_unet import SmoothUnet
from smoothswap.generators.unet_levels import DownLevel, ToImage, UpLevel
from smoothswap.modules.attention import AttentionBlock
from smoothswap.modules.injections.add import AddInjection
from smoothswap.modules.resample import Downsample, DownsampleConvolution, Upsample, UpsampleConvolution
from smoothswap.modules.residual import ResidualBlock
from smoothswap.modules.state_mapping import StateMapping

PREFIX = "all_modules"


def score_sde_options(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Width and identity of the generator, as the embedding layers show them; what they do not show is left out.

    The other options (levels, blocks, resampling, …) have to be known from the configuration of the training.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    first = 1 if f"{PREFIX}.0.W" in plain else 0
    layer = plain.get(f"{PREFIX}.{first}.weight")
    if layer is None or layer.dim() != 2:
        return {}
    width, entries = layer.shape
    return {"base_channels": width // 4, "identity_dim": entries, "identity_scale": "unit_length"}


def convert_score_sde(
    state: Mapping[str, torch.Tensor], generator: SmoothUnet, *, identity_mlp: bool = True
) -> dict[str, torch.Tensor]:
    """Map a state dict of score_sde's `NCSNpp` to one of `generator`.

    Args:
        state: tensors by name, as `NCSNpp.state_dict()` gives them; a leading `module.` of DataParallel is taken off.
        generator: a generator with the same options (channels, levels, blocks, resampling, progressive, …), injection
            `add`.
        identity_mlp: take the MLP from the time embedding; False keeps the generator's own, whatever its depth.

    Returns:
        a state dict that `generator.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: the generator has another injection, or a key is missing, left over or of another shape; the
            keys are named.
    """
    if generator.config.injection != "add":
        raise CheckpointError(
            f"score_sde's weights fit the injection 'add', and the generator has {generator.config.injection!r}",
            hint="Build it with injection='add'.",
        )
    mapping = StateMapping({key.removeprefix("module."): value for key, value in state.items()}, "score_sde's NCSN++")
    mapping.drop("sigmas")
    first = 0
    if f"{PREFIX}.0.W" in mapping:  # Gaussian Fourier features of the noise level
        mapping.drop(f"{PREFIX}.0.W")
        first = 1
    for i in range(2):
        source = f"{PREFIX}.{first + i}"
        if identity_mlp:
            mapping.layer(source, f"identity_mlp.{i}")
        else:
            mapping.drop(f"{source}.weight")
            mapping.drop(f"{source}.bias")
    if not identity_mlp:
        mapping.keep(generator, "identity_mlp")

    entries = list(_in_order(generator))
    # The resamplers of the image pyramids have no weights; score_sde now keeps them outside the list, an older
    # one had them in it. The last entry always has weights, so its number tells which list this is.
    if _last_index(state) != first + 1 + len(entries):
        entries = [(name, module) for name, module in entries if not _is_plain_pyramid(name, module)]
    for index, (name, module) in enumerate(entries, start=first + 2):
        _map_module(mapping, f"{PREFIX}.{index}", name, module)
    return mapping.finish(generator)


def _last_index(state: Mapping[str, torch.Tensor]) -> int:
    parts = (key.partition(f"{PREFIX}.")[2].partition(".")[0] for key in state)
    return max((int(part) for part in parts if part.isdecimal()), default=-1)


def _is_plain_pyramid(name: str, module: nn.Module) -> bool:
    return name.endswith("_pyramid") and isinstance(module, (Upsample, Downsample))


def _in_order(generator: SmoothUnet) -> Iterator[tuple[str, nn.Module]]:
    """Name and module for each entry of score_sde's list behind the embedding."""
    yield "stem", generator.stem
    for i, level in enumerate(generator.down):
        yield from ((f"down.{i}.{name}", module) for name, module in _down_order(level))
    for part in ("before", "attention", "after"):
        yield f"middle.{part}", generator.middle.get_submodule(part)
    for i, level in enumerate(generator.up):
        yield from ((f"up.{i}.{name}", module) for name, module in _up_order(level))
    if generator.head is not None:
        yield from _image_order("head", generator.head)


def _down_order(level: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if not isinstance(level, DownLevel):
        return
    for j, block in enumerate(level.blocks):
        yield f"blocks.{j}", block
        if level.attentions:
            yield f"attentions.{j}", level.attentions[j]
    if level.shrink is not None:
        yield "shrink", level.shrink
    if level.shrink_pyramid is not None:
        yield "shrink_pyramid", level.shrink_pyramid
    if level.from_pyramid is not None:
        yield "from_pyramid", level.from_pyramid


def _up_order(level: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if not isinstance(level, UpLevel):
        return
    for j, block in enumerate(level.blocks):
        yield f"blocks.{j}", block
    if level.attention is not None:
        yield "attention", level.attention
    if level.grow_pyramid is not None:
        yield "grow_pyramid", level.grow_pyramid
    if level.to_pyramid is not None:
        yield from _image_order("to_pyramid", level.to_pyramid)
    if level.grow is not None:
        yield "grow", level.grow


def _image_order(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, ToImage):
        yield f"{name}.norm", module.norm
        yield f"{name}.conv", module.conv


def _map_module(mapping: StateMapping, source: str, name: str, module: nn.Module) -> None:
    if isinstance(module, ResidualBlock):
        _map_residual(mapping, source, name, module)
    elif isinstance(module, AttentionBlock):
        mapping.layer(f"{source}.GroupNorm_0", f"{name}.norm")
        qkv = [f"{source}.NIN_{i}" for i in range(3)]
        mapping.joined([f"{key}.W" for key in qkv], f"{name}.qkv.weight", _as_convolution)
        mapping.joined([f"{key}.b" for key in qkv], f"{name}.qkv.bias")
        _map_nin(mapping, f"{source}.NIN_3", f"{name}.project")
    elif isinstance(module, (UpsampleConvolution, DownsampleConvolution)):
        # score_sde calls the layer by its kind: one joined with a filter is Conv2d_0, a plain one Conv_0.
        mapping.layer(f"{source}.{'Conv2d_0' if module.filtered else 'Conv_0'}", name)
    elif isinstance(module, nn.Conv2d) and name.endswith("from_pyramid"):
        mapping.layer(f"{source}.Conv_0", name)
    elif isinstance(module, (nn.Conv2d, nn.GroupNorm)):
        mapping.layer(source, name)


def _map_residual(mapping: StateMapping, source: str, name: str, block: ResidualBlock) -> None:
    mapping.layer(f"{source}.GroupNorm_0", f"{name}.norm")
    mapping.layer(f"{source}.Conv_0", f"{name}.conv")
    if isinstance(block.injection, AddInjection):
        mapping.layer(f"{source}.Dense_0", f"{name}.injection.shift")
        mapping.layer(f"{source}.GroupNorm_1", f"{name}.injection.norm")
        mapping.layer(f"{source}.Conv_1", f"{name}.injection.conv")
    if block.shortcut is None:
        return
    if f"{source}.NIN_0.W" in mapping:  # the blocks of DDPM
        _map_nin(mapping, f"{source}.NIN_0", f"{name}.shortcut")
    else:
        mapping.layer(f"{source}.Conv_2", f"{name}.shortcut")


def _map_nin(mapping: StateMapping, source: str, name: str) -> None:
    mapping.joined([f"{source}.W"], f"{name}.weight", _as_convolution)
    mapping.joined([f"{source}.b"], f"{name}.bias")


def _as_convolution(weight: torch.Tensor) -> torch.Tensor:
    """[in, out] -> [out, in, 1, 1]."""
    return weight.T[:, :, None, None]
