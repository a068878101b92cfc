"""A new run that starts from a model's weights: which file that is, what of it fits, and the record of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from smoothswap.core.catalogue import describe
from smoothswap.core.config import Options
from smoothswap.core.errors import CheckpointError, ConfigError, InputError, SmoothSwapError
from smoothswap.core.files import as_path, file_sha256, from_json, write_aside
from smoothswap.core.old_names import FILE, renamed
from smoothswap.core.option_text import as_words
from smoothswap.modules import weights

STARTED_FROM = "started_from.json"
_SHOWN = 20  # names in one message
_FEW = 4  # names in an error
_SIZES = ("image_size", "input_size")  # options of a part that the recipe's image_size fills in


def check_start(start_from: Path | str | None, *, resume: bool) -> None:
    """Refuse to start from a model where a run is resumed.

    Raises:
        ConfigError: both are wanted.
    """
    if start_from is not None and resume:
        raise ConfigError(
            f"a resumed run has its own weights, it cannot start from {str(start_from)!r}",
            hint="leave out --start-from, or leave out --resume and choose another folder",
        )


def resolve_start(path: Path | str, kind: str) -> Path | None:
    """Find the file of a model of this kind.

    Args:
        path: a model's file; or a run's or model's folder, where it is `embedder.safetensors`,
            `generator.safetensors` or `discriminator.safetensors`.
        kind: `embedder`, `generator` or `discriminator`.

    Returns:
        The file; None where the folder holds no model of this kind, or the file is one of another kind.

    Raises:
        InputError: there is no such file or folder.
        CheckpointError: the file is no model of smoothswap's, or damaged.
    """
    path = as_path(path, "the model to start from")
    if path.is_dir():
        file = path / f"{kind}.safetensors"
        return file if file.is_file() else None
    if not path.exists():
        raise InputError(
            f"no model {str(path)!r} to start from",
            hint="name the folder of a run, or a .safetensors file that a training wrote",
        )
    header, _ = weights.read(path)
    return path if header["kind"] == kind else None


def no_start(path: Path | str, *kinds: str) -> ConfigError:
    """The error to raise where `resolve_start` found no model of any of these kinds."""
    path, wanted = Path(path), " or ".join(kinds)
    article = "an" if wanted.startswith("e") else "a"
    if path.is_dir():
        held = sorted(file.name for file in path.glob("*.safetensors"))
        fact = f"models in the folder: {', '.join(held) or 'none'}"
    else:
        header, _ = weights.read(path)
        fact = f"it holds the {header['kind']} {header['name']!r}"
    return ConfigError(
        f"{str(path)!r} holds no {wanted} to start from",
        fact,
        hint=f"name a folder with {' or '.join(f'{kind}.safetensors' for kind in kinds)}, "
        f"or the file of {article} {wanted}",
    )


def start_weights(module: nn.Module, path: Path | str, *, what: str) -> list[str]:
    """Load every tensor of a model's file that the module has by name and shape; the others stay as they are.

    Args:
        module: a model made by `smoothswap.build`, of the same kind as the file's.
        path: the file, as `resolve_start` gives it.
        what: the module's name in the recipe, such as `generator`.

    Returns:
        Messages for the log: how much was loaded and, by name, what does not fit.

    Raises:
        ConfigError: the file holds a model of another kind, or none of its matrices and kernels fits.
        InputError, CheckpointError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    header, state = weights.read(path)
    row = getattr(module, "smoothswap_component", None)
    if row is not None and header["kind"] != row.kind:
        raise no_start(path, row.kind)
    own = module.state_dict()
    fitting = {key: state[key] for key, value in own.items() if key in state and state[key].shape == value.shape}
    # Buffers such as filters and counters fit by chance, and so do biases of three colours.
    learnt = [name for name, weight in module.named_parameters() if weight.ndim > 1]
    if not any(name in fitting for name in learnt or dict(module.named_parameters())):
        raise _nothing_fits(module, header, own, state, path, what)
    module.load_state_dict(fitting, strict=False)
    kinds = {
        "with another shape": [_both(key, state, own) for key in own if key in state and key not in fitting],
        "not in the file": [key for key in own if key not in state],
        "in the file only": [key for key in state if key not in own],
    }
    said = [f"the {what} starts from {path.name}: {len(fitting)} of its {len(own)} tensors fit"]
    return said + [f"the {what}: {len(keys)} {why}: {_listed(keys)}" for why, keys in kinds.items() if keys]


def _both(key: str, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    there = f"{tuple(state[key].shape)} in the file" if key in state else "not in the file"
    here = f"{tuple(own[key].shape)} in the model" if key in own else "not in the model"
    return f"{key} {there}, {here}"


def _listed(keys: list[str]) -> str:
    more = f"; … and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return "; ".join(keys[:_SHOWN]) + more


def _nothing_fits(
    module: nn.Module,
    header: Mapping[str, Any],
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    path: Path,
    what: str,
) -> ConfigError:
    shared = [key for key in own if key in state and own[key].shape != state[key].shape]
    # Those of one side only where no name is shared.
    keys = shared or [*list(own)[: _FEW // 2], *[key for key in state if key not in own][: _FEW // 2]]
    changes = _changes(module, header, what)
    return ConfigError(
        f"no weight of {str(path)!r} fits the {what}",
        *(_both(key, state, own) for key in keys[:_FEW]),
        hint=f"build the {what} as that model was: {' '.join(changes)}"
        if changes
        else "start from a model of the same shape",
    )


def _changes(module: nn.Module, header: Mapping[str, Any], what: str) -> list[str]:
    """The words that make the module what the file's was."""
    row, config = getattr(module, "smoothswap_component", None), getattr(module, "config", None)
    if row is None or not isinstance(config, Options):
        return []
    now, other = as_words(config.to_dict()), header["name"] != row.name
    # Another component keeps those options that both have, and takes its own defaults for the others.
    usual: Mapping[str, Any] = now
    if other:
        usual = {}
        with contextlib.suppress(SmoothSwapError):  # of a plugin that is not installed here
            usual = as_words({each.name: each.default for each in describe(header["name"], header["kind"]).options})
    changed = [
        f"--set {'image_size' if key in _SIZES else f'{what}.{key}'}={_text(value)}"
        for key, value in as_words(header["config"]).items()
        if _text(now.get(key, value)) != _text(value) or _text(usual.get(key)) != _text(value)
    ]
    return [*([f"--set {what}.name={header['name']}"] if other else []), *changed]


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def keep_start(files: Mapping[str, Path], folder: Path) -> None:
    """Record in a new run's folder what it starts from; the record goes into the notes of its models.

    To be called by one process, before `keep_recipe`.

    Args:
        files: the files by what starts from them, such as `{"embedder": path}`; none leaves no record.
        folder: the run's folder.
    """
    record = {what: {"file": path.name, "file_sha256": file_sha256(path)} for what, path in files.items()}
    if not record:
        (folder / STARTED_FROM).unlink(missing_ok=True)  # of a run that never began
        return
    with write_aside(folder / STARTED_FROM) as aside:
        aside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def kept_start(folder: Path) -> dict[str, dict[str, str]]:
    """The record of `keep_start`: `file` and `file_sha256` by what started from it; empty where nothing did.

    Raises:
        CheckpointError: the record cannot be read.
    """
    path = folder / STARTED_FROM
    try:
        record: dict[str, dict[str, str]] = from_json(path.read_text(encoding="utf-8"))
        files = {what: renamed(each, FILE) for what, each in record.items()}
        return {what: {key: each[key] for key in ("file", "file_sha256")} for what, each in files.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise CheckpointError(
            f"{str(path)!r} cannot be read",
            str(cause),
            hint="it only records what the run started from: without the file the run goes on",
        ) from cause
