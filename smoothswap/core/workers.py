"""Worker processes: fresh ones, where this process may start any.

A fresh process (`spawn`) imports the program's main file again. Where that has no `if __name__ == "__main__":`, the
import comes to the very call that starts processes. It ends there, and this process says what to do.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from smoothswap.core.errors import WorkError

_UNGUARDED = 113  # exit code of a process that was started by a program without the guard


class FreshProcesses(SpawnContext):
    """A context for pools and loaders that remembers the processes it started."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **keywords: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process, not started yet."""
        process = SpawnProcess(*arguments, **keywords)
        self.started.append(process)
        return process


@contextlib.contextmanager
def fresh_processes() -> Iterator[FreshProcesses]:
    """Around work with other processes: yields a context to start them with.

    Fresh processes, since forking one that runs OpenCV's or torch's threads may hang.

    Raises:
        WorkError: in place of what the work raised, where the program has no guard. What to do is said in it.
    """
    if _is_starting():
        raise SystemExit(_UNGUARDED)  # quietly: the process that started this one tells
    context = FreshProcesses()
    try:
        yield context
    except Exception:
        for process in context.started:
            if process.pid is not None:  # else its start is what failed
                process.join(1)
        if any(process.exitcode == _UNGUARDED for process in context.started):
            raise WorkError(
                "processes that read pictures run the program anew, and so must not come to this call",
                hint='put the call below `if __name__ == "__main__":`, or give workers=1 (align) or workers=0',
            ) from None  # what was raised guesses at other reasons
        raise


def may_start_processes() -> bool:
    """Whether this process may have children: not inside a daemonic worker, nor where the program is no file.

    The workers of a `multiprocessing.Pool`, and so of many task queues, are daemonic. A program read from
    standard input cannot be imported by a fresh process.
    """
    if multiprocessing.current_process().daemon:
        return False
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    return getattr(main, "__spec__", None) is not None or file is None or Path(file).is_file()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_starting() -> bool:
    """Whether this is a fresh process that still imports the program; Python asks itself in the same way."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))
