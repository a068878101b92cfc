"""Embedders that come with weights, by their name."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from smoothswap.core.cache_folder import cache_folder
from smoothswap.core.catalogue import build
from smoothswap.core.errors import InputError, UnknownNameError
from smoothswap.core.files import as_path
from smoothswap.modules import weights


def is_name(file_or_name: Path | str) -> bool:
    """Whether this is the name of a component and no path: one word without a suffix, and no file is called so."""
    path = as_path(file_or_name, "the model")
    return not path.suffix and len(path.parts) == 1 and not path.exists()


def build_pretrained(name: str) -> nn.Module:
    """Build an embedder that comes with weights (`has_weights`), such as `sface`.

    Raises:
        InputError: it comes without weights, or a package that brings them is not installed.
        UnknownNameError: there is no embedder of that name; the message begins as that of a missing file.
    """
    try:
        embedder: nn.Module = build(name, kind="embedder")
    except UnknownNameError as cause:
        raise UnknownNameError(f"no model file {name!r}", cause.what, *cause.facts, hint=cause.hint) from cause
    if not getattr(embedder, "has_weights", False):
        raise InputError(
            f"the embedder {name!r} comes without weights",
            hint="give a file that `smoothswap train embedder` or `smoothswap convert` wrote",
        )
    return embedder


def embedder_path(file_or_name: Path | str) -> Path:
    """An embedder's file: the path itself, or for the name of one that comes with weights a copy in the cache folder.

    Raises:
        InputError, UnknownNameError: as `build_pretrained`.
        WorkError: the disk is full.
    """
    if not is_name(file_or_name):
        return Path(file_or_name)
    built = build_pretrained(str(file_or_name))
    file = cache_folder() / "embedders" / f"{file_or_name}-{weights.weights_fingerprint(built)[:16]}.safetensors"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        weights.save(built, file)
    return file
