"""Index files: what was found in a data set, kept so that the next start need not look for it again.

An index is arrays in one file (`.npz`, with check sums). It only saves time: whatever is wrong with it, it is made
anew, and where it cannot be written, the work goes on without.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smoothswap.core.cache_folder import cache_folder
from smoothswap.core.errors import ConfigError, WorkError
from smoothswap.core.files import as_path, write_aside

Array = np.ndarray[Any, Any]

_log = logging.getLogger(__name__)
_HEAD = "head"  # the first array of the file: what it is
_START = (b"PK\x03\x04", b"head.npy")  # of such a file, and what stands at its byte 30
_RECENT = 2_000_000_000  # ns; some file systems tell times in steps of two seconds
WORTH = 1_000
"""An index of fewer entries than this is not kept, unless its path was named: looking again takes no time."""


class IndexFile:
    """The place of an index.

    Args:
        option: `auto` for a file in the cache folder, a path, or None for no index.
        kind: what the index lists, with the version of its layout.
        subject: what tells this index from others of the kind, such as the folder's path.

    Raises:
        ConfigError: the path is that of a file which is no index; it would be lost.
    """

    def __init__(self, option: str | None, kind: str, subject: str) -> None:
        self.kind = kind
        self.named = option not in (None, "auto")
        self.path: Path | None = None
        if option == "auto":
            digest = hashlib.blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
            self.path = cache_folder() / "indexes" / f"{kind.split()[0]}-{digest}.npz"
        elif option is not None:
            self.path = as_path(option, "the index")
            _refuse_other(self.path)

    def load(self) -> dict[str, Array] | None:
        """The arrays, or None where there is no index that can be used."""
        if self.path is None:
            return None
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            head = str(arrays.pop(_HEAD))
        except FileNotFoundError:
            return None
        except Exception as cause:
            # Damaged archives are answered with BadZipFile, OSError, ValueError, KeyError, struct.error and more.
            self.note(f"it cannot be read ({type(cause).__name__}: {cause})")
            return None
        if head != self.kind:
            self.note(f"it is of the kind {head!r}, {self.kind!r} is needed")
            return None
        return arrays

    def note(self, why: str) -> None:
        """Say that the index is made anew."""
        _log.warning("the index %s is made anew: %s", self.path, why)

    def save(self, arrays: Mapping[str, Array], entries: int) -> None:
        """Write the index, whole or not at all; where that fails, say so and go on.

        Args:
            arrays: of any names but `head`.
            entries: how many things are listed; few are not kept.
        """
        if self.path is None or not (self.named or entries >= WORTH):
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with write_aside(self.path) as aside, aside.open("wb") as file:
                np.savez(file, **{_HEAD: np.array(self.kind)}, **arrays)  # type: ignore[arg-type]
        except (OSError, WorkError) as cause:
            reason = cause.facts[0] if isinstance(cause, WorkError) and cause.facts else str(cause)
            _log.warning("no index is kept, so the next start takes as long as this one: %s", reason)


def settled(now: int, *times: int) -> bool:
    """Whether something last changed long enough ago that a later change would show another time.

    Args:
        now: ns since the epoch, before the thing was looked at.
        times: of its last changes, ns since the epoch.
    """
    return all(time < now - _RECENT for time in times)


def _refuse_other(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(38)
    except FileNotFoundError:
        return
    except OSError as cause:
        raise ConfigError(f"the index cannot be {str(path)!r}", cause.strerror or str(cause)) from cause
    if start and not (start[:4] == _START[0] and _START[1].startswith(start[30:])):
        raise ConfigError(
            f"the index cannot be {str(path)!r}: it is a file of another kind",
            "it would be written over",
            hint="name another path, or leave `index` out to keep it in the cache folder",
        )


def subject_of(folder: Path) -> str:
    """A folder's own path, whichever links lead there."""
    return os.path.realpath(folder)
