"""The whole state of a training in one safetensors file: weights, averages, optimisers, sampler positions, counters.

A state is a tree of dicts and lists. Its tensors become the file's tensors, named by their path; the rest is JSON in
the header, where `{"tensor": name}` stands for a tensor. Nothing is pickled, so a file can be opened without trust,
and by later versions. Checksums over tensors and JSON find flipped bits, which safetensors itself does not look for.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from smoothswap.core.errors import CheckpointError
from smoothswap.core.files import from_json, write_aside
from smoothswap.modules.weights import TRAINING

LAST = "checkpoint-last.safetensors"
PREVIOUS = "checkpoint-previous.safetensors"
_KEY, _SUM, _STATE_SUM = TRAINING, "crc32", "state_crc32"
_FORMAT = 1


def save_checkpoint(state: Mapping[str, Any], folder: Path) -> Path:
    """Write a state as the newest checkpoint of a folder; the one before stays as `checkpoint-previous`.

    The new file is complete and flushed before a name changes, so whenever the process dies a good file is there.

    Args:
        state: a tree of dicts (keys: str or int), lists and tuples over tensors, numbers, strings, booleans and None.
        folder: the run's folder.

    Raises:
        WorkError: the file cannot be written.
        TypeError: the state holds something else.
    """
    tensors: dict[str, Tensor] = {}
    tree = _flatten(state, "", tensors)
    text = json.dumps({"format": _FORMAT, "torch": torch.__version__, "state": tree})
    header = {_KEY: text, _SUM: str(_checksum(tensors)), _STATE_SUM: str(zlib.crc32(text.encode()))}
    path = folder / LAST
    with write_aside(path) as aside:
        try:
            save_file(tensors, aside, metadata=header)
        except SafetensorError as cause:  # a full disk comes as one
            raise OSError(str(cause)) from cause
        if path.exists():
            path.replace(folder / PREVIOUS)
    return path


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The newest good state of a folder, its tensors on the CPU.

    Returns:
        The state as it was saved (tuples come back as lists), and a line for each newer file that could not be used.

    Raises:
        CheckpointError: there are checkpoints, and none can be read.
        FileNotFoundError: there are none.
    """
    faults: list[str] = []
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            return read_checkpoint(path), faults
        except CheckpointError as error:
            faults.append(str(error).replace("\n", " "))
    if faults:
        raise CheckpointError(
            f"no checkpoint in {str(folder)!r} can be read", *faults, hint="start again in another folder"
        )
    raise FileNotFoundError(folder / LAST)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in one file.

    Raises:
        CheckpointError: it is damaged, or no checkpoint of a training.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # Copies: what safetensors gives is mapped from the file, and the file is about to be replaced.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as cause:
        raise CheckpointError(f"{str(path)!r} is damaged or incomplete", str(cause)) from cause
    try:
        text, expected = header[_KEY], int(header[_SUM])
        expected_state = int(header.get(_STATE_SUM, zlib.crc32(text.encode())))  # earlier versions wrote none
    except (KeyError, ValueError) as cause:
        raise CheckpointError(f"{str(path)!r} is no checkpoint of a training") from cause
    for what, found, wanted in (
        ("tensors", _checksum(tensors), expected),
        ("state", zlib.crc32(text.encode()), expected_state),
    ):
        if found != wanted:
            raise CheckpointError(f"{str(path)!r} is damaged", f"its checksum does not match its {what}")
    try:
        content = from_json(text)
        if content["format"] != _FORMAT:
            raise CheckpointError(
                f"{str(path)!r} has format {content['format']}", f"this version of smoothswap reads {_FORMAT}"
            )
        state: dict[str, Any] = dict(_unflatten(content["state"], tensors))
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as cause:
        raise CheckpointError(
            f"{str(path)!r} holds no state of a training", f"{type(cause).__name__}: {cause}"
        ) from cause
    return state


def _flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        # Each is a copy of its own: tensors that share memory, or are views in another order, cannot be stored.
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": path}
    if isinstance(value, Mapping):
        # Pairs, since an optimiser numbers its weights and JSON would turn the numbers into text.
        return {"dict": [[key, _flatten(item, f"{path}/{key}".lstrip("/"), tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_flatten(item, f"{path}/{index}".lstrip("/"), tensors) for index, item in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise TypeError(f"a checkpoint cannot hold {path} of type {type(value).__name__}")


def _unflatten(node: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "dict" in node:
        return {key: _unflatten(item, tensors) for key, item in node["dict"]}
    if "list" in node:
        return [_unflatten(item, tensors) for item in node["list"]]
    return node["value"]


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        if tensors[name].numel():
            total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return total
