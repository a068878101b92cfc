"""Where photographs came from, as far as the files beside them say."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from smoothswap.core.files import as_path, from_json

_log = logging.getLogger(__name__)
REPORT = "report.json"
"""What `smoothswap align` writes beside its crops."""
_SAY = ("manifest", "sources", "license", "licence", "readme", "attribution")
_SUFFIXES = ("", ".txt", ".md", ".csv", ".json")


def origin_files(folder: Path) -> dict[str, str]:
    """The files directly in a folder that by their names say where its photographs came from, with their sha256."""
    said = {}
    for file in sorted(folder.iterdir()):
        if file.stem.lower() in _SAY and file.suffix.lower() in _SUFFIXES and file.is_file():
            try:
                with file.open("rb") as opened:
                    said[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
            except OSError as cause:
                _log.warning("%s may say where the photographs came from, and cannot be read: %s", file, cause.strerror)
    return said


def origin_of(folder: Path) -> dict[str, Any]:
    """Where the photographs of a folder came from.

    Of crops that `align` wrote that is the folder which they were cut from, by its report.

    Returns:
        `folder`, the name of that folder, and `files`, see `origin_files`; without these where nothing says so.
    """
    try:
        report = from_json((folder / REPORT).read_text("utf-8"))
        return {"folder": Path(report["folder"]).name, "files": dict(report["origin"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"folder": folder.name, "files": origin_files(folder)} if folder.is_dir() else {}


def origins(options: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The origins of the folders that data sets read, each once.

    Args:
        options: of each data set; those with a `folder` count.
    """
    folders = {str(one["folder"]): None for one in options if "folder" in one}
    return [origin for folder in folders if (origin := origin_of(as_path(folder, "the folder")))]
