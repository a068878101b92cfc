"""What a model file says of itself, for a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoothswap.core.files import as_path, file_sha256
from smoothswap.modules.weights import read, weights_fingerprint


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What `describe_file` found.

    Args:
        path: the file.
        header: `kind`, `name`, `provider`, `config`, `versions`, `notes` and perhaps `packages`.
        tensors: how many there are.
        numbers: how many numbers they hold.
        file_sha256: of the file's bytes.
        weights_fingerprint: of the weights, rounded to half precision; the model has the same one.
    """

    path: Path
    header: Mapping[str, Any]
    tensors: int
    numbers: int
    file_sha256: str
    weights_fingerprint: str

    def __str__(self) -> str:
        header = self.header
        size = f"{self.numbers:,} numbers in {self.tensors} tensors, {self.path.stat().st_size / 2**20:.1f} MiB"
        versions = ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items())
        lines = [
            f"{self.path}: {header['kind']} {header['name']} of {header.get('provider') or 'an unknown provider'}",
            size + (f", written by {versions}" if versions else ""),
        ]
        lines += [f"file_sha256: {self.file_sha256}", f"weights_fingerprint: {self.weights_fingerprint}"]
        if header.get("packages"):
            lines.append(f"needs the packages: {', '.join(header['packages'])}")
        for title in ("config", "notes"):
            values = header.get(title) or {}
            lines += [f"{title}:" if values else f"{title}: none"]
            lines += [f"  {name}: {_shown(value)}" for name, value in values.items()]
        return "\n".join(lines)


def describe_file(path: Path | str) -> ModelDescription:
    """Read what a model file says of itself, and the two digests that tell it from others.

    Raises:
        InputError: there is no such file.
        CheckpointError: it is damaged, something else, or does not say which model it holds.
    """
    path = as_path(path, "a model file")
    header, state = read(path)
    return ModelDescription(
        path=path,
        header=header,
        tensors=len(state),
        numbers=sum(tensor.numel() for tensor in state.values()),
        file_sha256=file_sha256(path),
        weights_fingerprint=weights_fingerprint(state),
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
