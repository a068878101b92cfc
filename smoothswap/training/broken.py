"""The list of pictures that a run could not read, beside its weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from smoothswap.core.files import write_aside

BROKEN = "broken.txt"


def broken_in(*datasets: Any) -> list[str]:
    """What the data sets could not read so far, by name; nothing from those that keep no list."""
    return [str(name) for dataset in datasets for name in getattr(dataset, "broken", ())]


def of_all_processes(fabric: Fabric, names: list[str]) -> list[str]:
    """The names of every process, in every process; to be called by all of them."""
    if fabric.world_size == 1:
        return names
    import torch.distributed

    every: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(every, names)
    return [name for part in every for name in part]


def keep_broken(folder: Path, names: Iterable[str]) -> str:
    """Add names to `broken.txt` in a run's folder, sorted, one a line, each once.

    Returns:
        What to tell the user, where the list has grown; else nothing.

    Raises:
        WorkError: the file cannot be written.
    """
    path = folder / BROKEN
    before = set(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()) if path.exists() else set()
    # A name with a line break would become two that do not exist.
    every = before | {name.replace("\n", "\\n").replace("\r", "\\r") for name in names}
    if len(every) == len(before):
        return ""
    with write_aside(path) as aside:
        aside.write_text("".join(f"{name}\n" for name in sorted(every)), encoding="utf-8", errors="surrogateescape")
    return f"{len(every)} picture{'s' if len(every) > 1 else ''} could not be read; the list: {path}"
