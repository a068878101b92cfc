"""Weights of the OpenCV Zoo's SFace for `sface`, read from its .onnx file.

OpenCV reads the file: smoothswap needs it anyway, and it also multiplies out the weights that the file stores as 8-bit
numbers in blocks. That saves a parser of ONNX as a further dependency. Both files of the Zoo fit, the quantised and the
one in single precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from smoothswap.core.errors import CheckpointError, InputError
from smoothswap.core.extras import require_opencv
from smoothswap.core.file_kind import unreadable
from smoothswap.modules.state_mapping import StateMapping

if TYPE_CHECKING:
    from smoothswap.embedders.sface import SFace

PREFIX = "onnx_node!"  # OpenCV puts it before the names of the nodes
# The blobs of OpenCV's layers, in their order.
BLOBS = {
    "Convolution": ("weight",),
    "BatchNorm": ("running_mean", "running_var", "weight", "bias"),
    "PReLU": ("weight",),
    "Gemm": ("weight", "bias"),
    "Const": ("value",),
}
CONSTANTS = {"scalar_op1.value": 127.5, "scalar_op2.value": 1 / 128}


def read_sface(path: Path | str) -> dict[str, torch.Tensor]:
    """Weights and constants of an .onnx file by `node.part`, such as `conv_1_conv2d.weight`, single precision.

    Convolutions are [out, in / groups, k, k], the linear layer [out, in], everything else is one-dimensional.

    Raises:
        MissingExtraError: OpenCV is not installed, or too old.
        InputError: there is no such file.
        CheckpointError: it is no ONNX file, or a damaged one.
    """
    require_opencv()
    import cv2

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no model file {str(path)!r}", hint="name SFace's .onnx file of the OpenCV Zoo")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it would print, the error below says
    try:
        network: Any = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as cause:
        raise unreadable(path, "ONNX", cause) from cause
    finally:
        cv2.utils.logging.setLogLevel(level)
    state = {}
    for name in network.getLayerNames():
        layer = network.getLayer(name)
        for part, blob in zip(BLOBS.get(layer.type, ()), layer.blobs, strict=False):
            value = torch.from_numpy(blob.copy())
            if not (layer.type == "Convolution" or (layer.type == "Gemm" and part == "weight")):
                value = value.flatten()
            state[f"{name.removeprefix(PREFIX)}.{part}"] = value
    return state


def convert_sface(state: Mapping[str, torch.Tensor], embedder: SFace) -> dict[str, torch.Tensor]:
    """Map what `read_sface` gives to a state dict of `embedder`.

    Args:
        state: tensors by `node.part`.
        embedder: the embedder that shall take them.

    Returns:
        a state dict that `embedder.load_state_dict(…, strict=True)` takes.

    Raises:
        CheckpointError: another scaling of the pictures, or a key is missing, left over or of another shape; the keys
            are named.
    """
    mapping = StateMapping(state, "the OpenCV Zoo's SFace")
    for key, expected in CONSTANTS.items():
        if key in mapping and state[key].tolist() != [expected]:
            raise CheckpointError(f"{key} of SFace is {state[key].tolist()} in the file, and [{expected}] is expected")
        mapping.drop(key)
    _layer(mapping, "conv_1", "stem", embedder)
    for i in range(0, len(embedder.layers), 2):
        source = f"conv_{i // 2 + 2}"
        _layer(mapping, f"{source}_dw", f"layers.{i}", embedder)
        _layer(mapping, source, f"layers.{i + 1}", embedder)
    _norm(mapping, "bn1", "norm", embedder)
    mapping.layer("pre_fc1", "linear")
    _norm(mapping, "fc1", "out_norm", embedder)
    return mapping.finish(embedder)


def _layer(mapping: StateMapping, source: str, name: str, embedder: SFace) -> None:
    mapping.tensor(f"{source}_conv2d.weight", f"{name}.conv.weight")
    _norm(mapping, f"{source}_batchnorm", f"{name}.norm", embedder)
    mapping.tensor(f"{source}_relu.weight", f"{name}.act.weight")


def _norm(mapping: StateMapping, source: str, name: str, embedder: SFace) -> None:
    mapping.layer(source, name)
    for part in ("running_mean", "running_var"):
        mapping.tensor(f"{source}.{part}", f"{name}.{part}")
    mapping.set(f"{name}.num_batches_tracked", embedder.get_submodule(name).get_buffer("num_batches_tracked"))
