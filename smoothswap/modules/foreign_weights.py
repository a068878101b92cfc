"""Reading weights that others have stored: PyTorch files (tensors only, no code is run) and safetensors."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from smoothswap.core.errors import CheckpointError, InputError
from smoothswap.core.file_kind import unreadable
from smoothswap.core.files import file_sha256

# What training scripts call the model's state dict inside a checkpoint, in the order in which they are looked for.
WRAPPERS = ("state_dict", "model_state_dict", "state_dict_backbone", "model", "backbone", "net", "module")
# What wrappers of models put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.")
PYTORCH = (".pth", ".pt", ".tar", ".bin", ".ckpt")
SAFETENSORS = ".safetensors"


def read_foreign(path: Path | str) -> dict[str, torch.Tensor]:
    """The state dict in a file, out of the common wrappings, on the CPU.

    Args:
        path: .safetensors, or .pth, .pt, .tar, .bin, .ckpt as `torch.save` writes them. The tensors may lie under one
            of `WRAPPERS`; those of `PREFIXES` that all names share are taken off.

    Raises:
        InputError: there is no such file, or it has another suffix.
        CheckpointError: it is damaged, holds more than tensors and plain values, or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}", hint="name a file with weights: .pth, .pt or .safetensors")
    if path.suffix.lower() == SAFETENSORS:
        content: Any = _read_safetensors(path)
    elif path.suffix.lower() in PYTORCH:
        content = _read_pytorch(path)
    else:
        raise InputError(
            f"{str(path)!r} is of no known format",
            f"known: {', '.join((*PYTORCH, SAFETENSORS))}",
            hint="Give the state dict as torch.save or safetensors writes it.",
        )
    return _without_prefixes(_unwrapped(content, path))


def check_file_sha256(path: Path | str, expected: str | None) -> str:
    """The `file_sha256` of a file; compared with `expected` where that is given.

    Raises:
        InputError: there is no such file, or `expected` is no SHA-256.
        CheckpointError: the file has another one.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}")
    wanted = None if expected is None else expected.strip().lower().removeprefix("sha256:")
    if wanted is not None and (len(wanted) != 64 or set(wanted) - set("0123456789abcdef")):
        raise InputError(f"{expected!r} is no SHA-256", hint="Give all of its 64 hexadecimal digits.")
    digest = file_sha256(path)
    if wanted is not None and digest != wanted:
        raise CheckpointError(
            f"{str(path)!r} is not the file that was asked for",
            f"file_sha256 expected: {wanted}",
            f"file_sha256 found:    {digest} ({path.stat().st_size:,} bytes)",
            hint="Fetch it again, from where the expected digest was published.",
        )
    return digest


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as cause:
        raise unreadable(path, "safetensors", cause) from cause


def _read_pytorch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's version: what follows from it is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:
        if "global" in str(cause).lower():  # a class or function that loading it would call
            raise CheckpointError(
                f"{str(path)!r} holds more than tensors: reading it would run code that it names, which is refused",
                _named(str(cause)),
                hint="Where you trust it, read it with the code that wrote it and store its state dict: "
                "torch.save(model.state_dict(), 'weights.pth')",
            ) from cause
        raise unreadable(path, "a file of torch.save", cause) from cause
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, IndexError, TypeError) as cause:
        if zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist()):
            raise CheckpointError(
                f"{str(path)!r} is a TorchScript archive, which holds code: refused",
                hint="Where you trust it, store its state dict: torch.save(torch.jit.load(FILE).state_dict(), 'w.pth')",
            ) from cause
        raise unreadable(path, "a file of torch.save", cause) from cause


def _named(text: str) -> str:
    """The line of torch's explanation that says which class or function was asked for."""
    lines = [line.strip() for line in text.splitlines() if "GLOBAL" in line or "global" in line]
    return lines[0][:200] if lines else text.strip().partition("\n")[0][:200]


def _unwrapped(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """The first mapping of names to tensors: the content itself, or what lies under the usual names."""
    found = content
    for _ in range(len(WRAPPERS)):
        if not isinstance(found, Mapping):
            break
        if found and all(isinstance(value, torch.Tensor) for value in found.values()):
            return {str(key): value for key, value in found.items()}
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = inner
    keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise CheckpointError(
        f"{str(path)!r} holds no state dict",
        f"it holds: {keys or 'nothing'}",
        f"a state dict is looked for at the top and under: {', '.join(WRAPPERS)}",
        hint="Store the model's state dict alone: torch.save(model.state_dict(), 'weights.pth')",
    )


def _without_prefixes(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    while True:
        shared = next((prefix for prefix in PREFIXES if state and all(key.startswith(prefix) for key in state)), None)
        if shared is None:
            return state
        state = {key.removeprefix(shared): value for key, value in state.items()}
