"""Writing files so that nobody ever sees half of one: written aside, flushed to disk, renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from smoothswap.core.errors import InputError, SmoothSwapError, WorkError


def as_path(value: object, what: str) -> Path:
    """A path as given by a caller.

    Args:
        value: text or a path.
        what: what it is of, for the message, such as `the source`.

    Raises:
        InputError: it is something else, such as an array of pixels.
    """
    if isinstance(value, str | os.PathLike):
        return Path(value)
    shape = getattr(value, "shape", None)
    raise InputError(
        f"{what} cannot be of the type {type(value).__name__}",
        *([] if shape is None else [f"shape {tuple(shape)}"]),
        hint="give the path of a file or folder as text or a pathlib.Path",
    )


@contextlib.contextmanager
def write_aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; when the block ends well it becomes `path`, else it is removed.

    The temporary name keeps the suffix, since encoders choose their format by it.

    Raises:
        WorkError: the disk is full, the folder is missing or may not be written.
    """
    path = Path(path)
    aside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        aside.touch()
        mode = aside.stat().st_mode  # as the user's umask has it; some writers make files that nobody else may read
        yield aside
        aside.chmod(mode)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(path.parent)
    except SmoothSwapError:
        raise
    except OSError as cause:
        raise WorkError(
            f"could not write {str(path)!r}",
            str(cause),
            hint="free some space or choose another folder; nothing was changed",
        ) from cause
    finally:
        aside.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and its parents where they are missing.

    Raises:
        InputError: it cannot be made, for instance where a file has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise InputError(f"cannot make the folder {str(path)!r}", str(cause), hint="name another folder") from cause


def _sync_folder(folder: Path) -> None:
    # The rename must survive a power cut too; some file systems cannot sync a folder and order it themselves.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
