"""Where photographs came from, as far as the files beside them say."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from smoothswap.core.errors import InputError
from smoothswap.core.files import as_path, file_sha256, from_json
from smoothswap.core.old_names import ALIGNED, renamed

_log = logging.getLogger(__name__)
REPORT = "report.json"
"""What `smoothswap align` writes beside its crops."""
_SAY = ("manifest", "sources", "license", "licence", "readme", "attribution")
_SUFFIXES = ("", ".txt", ".md", ".csv", ".json")


def origin_files(folder: Path) -> dict[str, str]:
    """The `file_sha256` of each file directly in a folder that by its name says where its photographs came from."""
    said = {}
    for file in sorted(folder.iterdir()):
        if file.stem.lower() in _SAY and file.suffix.lower() in _SUFFIXES and file.is_file():
            try:
                said[file.name] = file_sha256(file)
            except InputError as cause:
                _log.warning("%s may say where the photographs came from, and cannot be read: %s", file, *cause.facts)
    return said


def origin_of(folder: Path) -> dict[str, Any]:
    """Where the photographs of a folder came from.

    Of crops that `align` wrote that is the folder which they were cut from, by its report.

    Returns:
        `folder`, the name of that folder, and `file_sha256` by file, see `origin_files`; without these where nothing
        says so.
    """
    try:
        report = from_json((folder / REPORT).read_text("utf-8"))
        said = renamed(report, ALIGNED)["origin_file_sha256"]
        return {"folder": Path(report["folder"]).name, "file_sha256": dict(said)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"folder": folder.name, "file_sha256": origin_files(folder)} if folder.is_dir() else {}


def origins(options: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The origins of the folders that data sets read, each once.

    Args:
        options: of each data set; those with a `folder` count.
    """
    folders = {str(one["folder"]): None for one in options if "folder" in one}
    return [origin for folder in folders if (origin := origin_of(as_path(folder, "the folder")))]
