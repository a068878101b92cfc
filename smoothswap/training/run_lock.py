"""One process at a time in a run's folder: two that resume the same run would both write it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from smoothswap.core.errors import ConfigError, WorkError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "running.lock"
_BYTE = 4096  # the one that is locked on Windows, where what is locked cannot be read
_held: set[int] = set()


@contextlib.contextmanager
def run_lock(folder: Path, *, wanted: bool = True) -> Iterator[None]:
    """Hold the lock of a run's folder. The system takes it away from a process that dies, however it does.

    On a file system without locks nothing is held, and the work goes on.

    Args:
        folder: the run's folder.
        wanted: False for the further processes of a run, whose first one holds it.

    Raises:
        ConfigError: another process holds it; the message names that one.
        WorkError: the folder may not be written.
    """
    if not wanted:
        yield
        return
    path = folder / LOCK
    handle = _take(path)
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        with contextlib.suppress(OSError):  # Windows keeps a file that is open
            path.unlink()
        os.close(handle)


def _take(path: Path) -> int:
    """An open file with the lock, and this process's number in it."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as cause:
            raise WorkError(f"could not write {str(path)!r}", str(cause), hint="choose another folder") from cause
        try:
            _lock(handle)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0) if hasattr(os, "pread") else b""
            os.close(handle)
            raise _taken(path.parent, holder.decode("utf-8", "replace").split()) from None
        except OSError:
            pass  # this file system has no locks
        if _is(handle, path):
            break
        os.close(handle)  # the one who held it removed the file in between
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()} {socket.gethostname()}\n".encode())
    return handle


def _lock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as cause:
            raise BlockingIOError(str(cause)) from cause
        os.lseek(handle, 0, os.SEEK_SET)


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _taken(folder: Path, holder: list[str]) -> ConfigError:
    number, host = (*holder, "", "")[:2]
    who = f"process {number} on {host}" if number else "another process"
    stop = f"`kill {number}`, after which it saves" if number and host == socket.gethostname() else "stop it there"
    return ConfigError(
        f"the run in {str(folder)!r} is being trained by {who}", hint=f"wait for its end, or stop it: {stop}"
    )


def _forget() -> None:
    """In a forked process: workers that outlive a killed training are not to hold its lock."""
    for handle in _held:
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
