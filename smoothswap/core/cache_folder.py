"""Where smoothswap keeps what it can make again."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from pathlib import Path

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """`$SMOOTHSWAP_CACHE`, or `smoothswap` in the user's cache folder: rendered pictures, indexes of data sets.

    A user without a home folder, or with one that may not be written (as in containers that run under a bare number),
    has it in the folder for temporary files; a warning says so once.
    """
    named = os.environ.get("SMOOTHSWAP_CACHE")
    if named:
        return Path(named)
    parent = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(parent) if parent else Path.home() / ".cache") / "smoothswap"
    except RuntimeError:
        return _temporary("there is no home folder")
    return folder if _may_be_made(folder) else _temporary(f"{str(folder)!r} may not be written")


def _may_be_made(folder: Path) -> bool:
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


@functools.cache
def _temporary(why: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"  # a folder of another user's may not be written either
    folder = Path(tempfile.gettempdir()) / f"smoothswap-{user}"
    _log.warning("%s, so the cache is in %s; SMOOTHSWAP_CACHE names a better place", why, folder)
    return folder
