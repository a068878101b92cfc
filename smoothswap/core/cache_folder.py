"""Where smoothswap keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$SMOOTHSWAP_CACHE`, or `smoothswap` in the user's cache folder: rendered pictures, indexes of data sets."""
    named = os.environ.get("SMOOTHSWAP_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smoothswap"
