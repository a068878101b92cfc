"""What a model file says of itself, for a reader."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from smoothswap.core.files import as_path
from smoothswap.modules.weights import read_header


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What `describe_file` found.

    Args:
        path: the file.
        header: `kind`, `name`, `provider`, `config`, `versions`, `notes` and perhaps `packages`.
        tensors: how many there are.
        numbers: how many numbers they hold.
    """

    path: Path
    header: Mapping[str, Any]
    tensors: int
    numbers: int

    def __str__(self) -> str:
        header = self.header
        size = f"{self.numbers:,} numbers in {self.tensors} tensors, {self.path.stat().st_size / 2**20:.1f} MiB"
        versions = ", ".join(f"{name} {version}" for name, version in header.get("versions", {}).items())
        lines = [
            f"{self.path}: {header['kind']} {header['name']} of {header.get('provider') or 'an unknown provider'}",
            size + (f", written by {versions}" if versions else ""),
        ]
        if header.get("packages"):
            lines.append(f"needs the packages: {', '.join(header['packages'])}")
        for title in ("config", "notes"):
            values = header.get(title) or {}
            lines += [f"{title}:" if values else f"{title}: none"]
            lines += [f"  {name}: {_shown(value)}" for name, value in values.items()]
        return "\n".join(lines)


def describe_file(path: Path | str) -> ModelDescription:
    """Read what a model file says of itself; its tensors are counted, not loaded.

    Raises:
        InputError: there is no such file.
        CheckpointError: it is damaged, something else, or does not say which model it holds.
    """
    path = as_path(path, "a model file")
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 (no mapping)
    return ModelDescription(path=path, header=header, tensors=len(shapes), numbers=sum(map(math.prod, shapes)))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
