"""Where photographs came from, as far as the files beside them say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

REPORT = "report.json"
"""What `smoothswap align` writes beside its crops."""
_SAY = ("manifest.csv", "manifest.json", "sources.*", "license*", "licence*", "readme*", "attribution*")


def origin_files(folder: Path) -> dict[str, str]:
    """The files directly in a folder that by their names say where its photographs came from, with their sha256."""
    files = sorted(file for file in folder.iterdir() if any(fnmatch(file.name.lower(), name) for name in _SAY))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def origin_of(folder: Path) -> dict[str, Any]:
    """Where the photographs of a folder came from.

    Of crops that `align` wrote that is the folder which they were cut from, by its report.

    Returns:
        `folder`, the name of that folder, and `files`, see `origin_files`; without these where nothing says so.
    """
    try:
        report = json.loads((folder / REPORT).read_text("utf-8"))
        return {"folder": Path(report["folder"]).name, "files": dict(report["origin"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"folder": folder.name, "files": origin_files(folder)} if folder.is_dir() else {}


def origins(options: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The origins of the folders that data sets read, each once.

    Args:
        options: of each data set; those with a `folder` count.
    """
    folders = {str(one["folder"]): None for one in options if "folder" in one}
    return [origin for folder in folders if (origin := origin_of(Path(folder).expanduser()))]
