"""Models on disk: safetensors whose header says how to build the model again. Never a pickle.

The header's metadata holds one JSON object under `smoothswap`: `{kind, name, provider, config, versions}`, with
`packages` where a plugin provides something that the config names; further facts (training data, images seen) can be
stored beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothswap.core.catalogue import available, build_with, load_plugins
from smoothswap.core.errors import (
    ArgumentError,
    CheckpointError,
    ConfigError,
    InputError,
    PluginError,
    UnknownNameError,
)
from smoothswap.core.file_kind import unreadable
from smoothswap.core.files import as_path, from_json, write_aside
from smoothswap.core.hookspecs import PROJECT
from smoothswap.core.old_names import current_notes

KEY = "smoothswap"
_NAMED_KIND = "injection"  # the only kind of component that options of models name
_SHOWN = 200  # characters of a damaged header that a message shows
TRAINING = "smoothswap_training"
"""The key in whose place the checkpoint of a training has its own."""


def save(
    module: nn.Module,
    path: Path | str,
    *,
    notes: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write a component's weights and how to build it.

    Args:
        module: a model made by `smoothswap.build` or `smoothswap.load`.
        path: the file, ending in `.safetensors`; replaced whole or not at all.
        notes: further facts for the header, plain JSON values.
        dtype: store floating-point weights in this type (`torch.float16` halves the file); `load` gives float32 back.

    Raises:
        ArgumentError: the module was not built by name, so nothing could build it again.
        WorkError: the file cannot be written.
    """
    from smoothswap import __version__

    path = as_path(path, "a model file")
    row = getattr(module, "smoothswap_component", None)
    if row is None:
        raise ArgumentError(
            f"{type(module).__name__} was not built by name",
            hint="make it with smoothswap.build(name, ...), then save it",
        )
    header = {
        "kind": row.kind,
        "name": row.name,
        "provider": row.provider,
        "config": module.config.to_dict(),  # type: ignore[union-attr, operator]
        "versions": {"smoothswap": __version__, "torch": torch.__version__},
        "notes": dict(notes or {}),
    }
    if packages := _packages(header["config"], row.provider):
        header["packages"] = packages
    state = {key: _stored(value, dtype) for key, value in module.state_dict().items()}
    with write_aside(path) as aside:
        save_file(state, aside, metadata={KEY: json.dumps(header)})
    return path


def _packages(config: Mapping[str, Any], provider: str) -> list[str]:
    """The plugins without which a model cannot be built: of itself, and of components that its options name."""
    named = {value for value in config.values() if isinstance(value, str)}
    others = {row.provider for row in available(_NAMED_KIND) if row.name in named}
    return sorted({*others, provider} - {PROJECT})


def _stored(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is not None and value.is_floating_point():
        value = value.to(dtype)
    return value.detach().cpu().contiguous().clone()


def read(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a model file, on the CPU.

    Raises:
        InputError: there is no such file.
        CheckpointError: the file is damaged, or no model of smoothswap's.
    """
    return _read(as_path(path, "a model file"), tensors=True)


def read_header(path: Path | str) -> dict[str, Any]:
    """What a model file says of itself: `kind`, `name`, `config`, `notes`, …, without its tensors.

    Raises:
        InputError, CheckpointError: as `read`.
    """
    return _read(as_path(path, "a model file"), tensors=False)[0]


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(
            f"no model file {str(path)!r}",
            *(["it is a folder"] if path.is_dir() else []),
            hint="name a .safetensors file that smoothswap.save wrote",
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys() if tensors}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as cause:
        raise unreadable(path, "safetensors", cause) from cause
    if TRAINING in metadata:
        raise CheckpointError(
            f"{str(path)!r} is the checkpoint of a training, no model",
            hint="give the model beside it: generator.safetensors or embedder.safetensors",
        )
    return _header(path, metadata), state


_FIELDS = {"kind": str, "name": str, "config": dict}
_FURTHER = {"provider": str, "versions": dict, "notes": dict, "packages": list}


def _header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The project's part of the metadata, its fields of the types that `save` gives them."""
    try:
        header = from_json(metadata[KEY])
        wrong = [key for key, kind in _FIELDS.items() if not isinstance(header[key], kind)]
        wrong += [key for key, kind in _FURTHER.items() if not isinstance(header.get(key, kind()), kind)]
    except (KeyError, TypeError, AttributeError, ValueError) as cause:
        raise CheckpointError(
            f"{str(path)!r} does not say which model it holds",
            f"metadata: {', '.join(metadata) or 'none'}"[:_SHOWN],
            hint="for a bare state dict, build the model and call smoothswap.modules.weights.load_into",
        ) from cause
    if wrong:
        raise CheckpointError(
            f"the header of {str(path)!r} is damaged",
            *(f"{key} cannot be {header[key]!r}"[:_SHOWN] for key in wrong),
            hint="fetch the file again",
        )
    if "notes" in header:
        header["notes"] = current_notes(header["notes"])
    return header  # type: ignore[no-any-return]


def load(path: Path | str, device: torch.device | str = "cpu", *, kind: str | None = None) -> Any:
    """Build the model that a file describes, with its weights, in eval mode.

    Args:
        path: the file.
        device: where the model is to be.
        kind: what kind of component is needed, such as `generator`; None takes any.

    Raises:
        InputError: there is no such file.
        CheckpointError: it is damaged, holds a model of another kind, or its weights do not fit the model it names.
        UnknownNameError: it names a component that no installed package provides; the message names the package.
        ConfigError, PluginError: its options are not those of the component here, or that cannot be imported.
    """
    header, state = read(path)
    if kind is not None and header["kind"] != kind:
        raise CheckpointError(
            f"{str(path)!r} is no {kind}: it holds the {header['kind']} {header['name']!r}",
            hint=f"give the file of a model of kind {kind}, as `smoothswap train` writes it",
        )
    module = _built(header, path)
    load_into(module, state, where=str(path))
    return module.to(device).eval()


def _built(header: Mapping[str, Any], path: Path | str) -> Any:
    try:
        return build_with(header["name"], header["kind"], header["config"])
    except (UnknownNameError, ConfigError, PluginError) as cause:
        provider = str(header.get("provider") or "unknown")
        wanted = [str(name) for name in header.get("packages", [provider])]
        here = {plugin.name for plugin in load_plugins() if plugin.error is None}
        missing = [name for name in wanted if name not in here]
        raise type(cause)(
            f"the {header['kind']} {header['name']!r} in {str(path)!r} cannot be built: {cause.what}",
            *cause.facts,
            f"its header names the provider {provider!r}",
            *(f"{name!r} is not among the plugins that are loaded here" for name in missing),
            hint=f"install or load what provides it: {', '.join(missing)}" if missing else cause.hint,
        ) from cause


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Load a state dict strictly; floating-point tensors take the model's own type.

    Raises:
        CheckpointError: keys or shapes differ; the message names them.
    """
    own = module.state_dict()
    facts = [f"missing: {key} {tuple(own[key].shape)}" for key in own if key not in state]
    facts += [f"unexpected: {key} {tuple(state[key].shape)}" for key in state if key not in own]
    facts += [
        f"shape of {key}: {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} in the model"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    if facts:
        shown = facts[:8] + ([f"… and {len(facts) - 8} more"] if len(facts) > 8 else [])
        raise CheckpointError(
            f"the weights in {where!r} do not fit {type(module).__name__}",
            *shown,
            hint="build the model with the options it was trained with",
        )
    module.load_state_dict(dict(state), strict=True)


def weights_fingerprint(model: nn.Module | Mapping[str, Tensor]) -> str:
    """SHA-256 of a model's weights and buffers: names, shapes and values rounded to half precision.

    It says that two models have the same weights: of a model, of its state dict, and of either stored in half precision
    it is the same. The SHA-256 of a file's bytes is `smoothswap.core.files.file_sha256`.

    Args:
        model: a module, or its state dict.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    state = model.state_dict() if isinstance(model, nn.Module) else model
    for name, value in sorted(state.items()):
        value = value.detach().cpu()
        value = value.to(torch.float16) if value.is_floating_point() else value
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
