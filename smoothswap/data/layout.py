"""What kind of data set a folder holds, by the names in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from smoothswap.core.errors import InputError
from smoothswap.core.picture_files import SUFFIXES

Layout = Literal["webdataset", "image_folder", "identity_folder"]


def folder_layout(folder: Path) -> Layout:
    """Tar shards; else images directly in it, each of another person; else a sub-folder for each person.

    Hidden files do not count.

    Raises:
        InputError: there is no such folder, or it may not be read.
    """
    try:
        names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and not entry.is_dir()}
    except OSError as cause:
        raise InputError(f"cannot read the folder {str(folder)!r}", str(cause.strerror)) from cause
    if any(name.endswith(".tar") for name in names):
        return "webdataset"
    return "image_folder" if any(Path(name).suffix.lower() in SUFFIXES for name in names) else "identity_folder"
