"""Files of the user's: written so that nobody ever sees half of one, and refused before the work where they cannot be.

Written aside, flushed to disk, renamed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smoothswap.core.errors import InputError, SmoothSwapError, WorkError

_SHOWN = 200  # characters of a path that cannot be
_unfinished: set[Path] = set()  # what this process writes aside at the moment
_STEM, _SUFFIX = 20, 16  # characters of a name that its temporary one keeps, so that it fits wherever the name does


def as_path(value: object, what: str) -> Path:
    """A path as given by a caller, with `~` as the home folder; as it stands where there is no such folder.

    Args:
        value: text or a path.
        what: what it is of, for the message, such as `the source`.

    Raises:
        InputError: it is something else, such as an array of pixels, or a name that no file can have.
    """
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        _refuse_nameless(path, what)
        try:
            return path.expanduser()
        except RuntimeError:
            return path
    shape = getattr(value, "shape", None)
    raise InputError(
        f"{what} cannot be of the type {type(value).__name__}",
        *([] if shape is None else [f"shape {tuple(shape)}"]),
        hint="give the path of a file or folder as text or a pathlib.Path",
    )


def _refuse_nameless(path: Path, what: str) -> None:
    """Refuse what no file is called: null characters, characters that are no bytes, too many of them."""
    try:
        os.lstat(path)
        return
    except ValueError:
        why = "no file can have such a name"
    except OSError as cause:
        if cause.errno != errno.ENAMETOOLONG:
            return
        why = str(cause.strerror)
    shown = str(path) if len(str(path)) <= _SHOWN else f"{str(path)[:_SHOWN]}…"
    raise InputError(f"{what} cannot be {shown!r}", why, hint="check the path")


@contextlib.contextmanager
def write_aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; when the block ends well it becomes `path`, else it is removed.

    The temporary name keeps the suffix, since encoders choose their format by it.

    Raises:
        WorkError: the disk is full, the folder is missing or may not be written.
    """
    path = Path(path)
    aside = _aside(path)
    _unfinished.add(aside)
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
        with contextlib.suppress(OSError):  # what went wrong was said above
            aside.unlink(missing_ok=True)
        _unfinished.discard(aside)


def forget_unfinished() -> None:
    """Remove what `write_aside` has not finished, for a process that is about to end without unwinding."""
    for aside in list(_unfinished):
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def check_writable(path: Path | str) -> None:
    """Refuse, before any work, a file that `write_aside` could not write after it. An existing file stays as it is.

    Raises:
        InputError: its folder is missing or may not be written, it is a folder itself, or the file system takes no
            such name.
    """
    path = Path(path)
    reason = ""
    # Not `Path.is_dir`, which raises for a name that is too long.
    if os.path.isdir(path):  # noqa: PTH112
        reason = "it is a folder"
    elif not os.path.isdir(path.parent):  # noqa: PTH112
        reason = f"there is no folder {str(path.parent)!r}"
    else:
        aside = _aside(path)
        try:
            with contextlib.suppress(FileNotFoundError):
                path.lstat()  # refuses a name that is too long
            aside.touch()
        except (OSError, ValueError) as cause:  # a name with a null character
            reason = (cause.strerror or str(cause)) if isinstance(cause, OSError) else str(cause)
        finally:
            with contextlib.suppress(OSError, ValueError):
                aside.unlink(missing_ok=True)
    if reason:
        raise InputError(f"cannot write {str(path)!r}", reason, hint="name a file in a folder that you may write to")


def make_folder(path: Path) -> None:
    """Make a folder and its parents where they are missing.

    Raises:
        InputError: it cannot be made, for instance where a file has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise InputError(f"cannot make the folder {str(path)!r}", str(cause), hint="name another folder") from cause


def output_folder(path: Path, *names: str) -> None:
    """Make a folder for the files of a command, and refuse it before any work where they could not be written.

    Args:
        path: the folder.
        names: of the files that will be written into it.

    Raises:
        InputError: it cannot be made or written to, or one of the names is that of a folder in it.
    """
    make_folder(path)
    for name in names:
        check_writable(path / name)


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, as `sha256sum` prints it: 64 hexadecimal digits.

    It says that two files are the same byte for byte. Whether two models have the same weights, however they are
    stored, is told by `smoothswap.modules.weights.weights_fingerprint`.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as cause:
        raise InputError(
            f"cannot read {str(path)!r}", cause.strerror or str(cause), hint="name a file that you may read"
        ) from cause


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    r"""JSON as UTF-8. The bytes of file names that are no UTF-8 come out as JSON's own escapes (`\udce9`).

    Reading it gives the very strings back, and `os.fsencode` the names' bytes.
    """
    # What Python writes for such a character is what JSON has for it.
    return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace")


def from_json(text: str | bytes) -> Any:
    """The value of a JSON text that somebody else may have written.

    Raises:
        ValueError: it is no JSON, or nested deeper than Python follows.
    """
    try:
        return json.loads(text)
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause


def write_json(path: Path, value: Any) -> None:
    """Write a report as indented JSON, whole or not at all.

    Raises:
        WorkError: as `write_aside`.
    """
    with write_aside(path) as aside:
        aside.write_bytes(json_bytes(value, indent=2) + b"\n")


def _aside(path: Path) -> Path:
    suffix = path.suffix if len(path.suffix) <= _SUFFIX else ""
    return path.with_name(f".{path.stem[:_STEM]}.{secrets.token_hex(4)}{suffix}")


def _sync_folder(folder: Path) -> None:
    # The rename must survive a power cut too; some file systems cannot sync a folder and order it themselves.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
