"""Worker processes: fresh ones, where this process may start any.

A fresh process (`spawn`) imports the program's main file again. Where that has no `if __name__ == "__main__":`, the
import comes to the very call that starts processes. It ends there, and this process says what to do.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from smoothswap.core.errors import WorkError
from smoothswap.core.files import forget_unfinished

Job = TypeVar("Job")
Result = TypeVar("Result")

_WAKE_EVERY = 0.2  # seconds
_UNGUARDED = 113  # exit code of a process that was started by a program without the guard


class _Worker(SpawnProcess):
    """A process that Ctrl-C at the terminal, which reaches all of them, leaves to the one that started it."""

    def start(self) -> None:
        with _held_back(signal.SIGINT):  # what is held back when a process starts is so in it for good
            super().start()


@contextlib.contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # one that came meanwhile acts now


class FreshProcesses(SpawnContext):
    """A context for pools and loaders that remembers the processes it started."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **keywords: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process, not started yet."""
        process = _Worker(*arguments, **keywords)
        self.started.append(process)
        return process

    def end(self) -> None:
        """End the processes at what they are doing, and wait until they are gone."""
        begun = [process for process in self.started if process.pid is not None]
        for process in begun:
            process.terminate()
        for process in begun:
            process.join(1)


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


@contextlib.contextmanager
def process_pool(
    workers: int, initializer: Callable[..., object] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes. An interruption ends them at once, and takes what they have half-written away.

    Args:
        workers: how many.
        initializer: called in each with `arguments`.
        arguments: of the initializer.

    Raises:
        WorkError: as `fresh_processes`.
    """
    with fresh_processes() as fresh:
        pool = ProcessPoolExecutor(workers, fresh, _prepare, (initializer, arguments))
        try:
            yield pool
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, Exception):
                fresh.end()
            raise
        finally:
            pool.shutdown()


def results(
    pool: ProcessPoolExecutor, function: Callable[[Job], Result], jobs: Iterable[Job], limit: int
) -> Iterator[tuple[Job, Result]]:
    """Jobs with their results as they are finished, of which a few, not a million, wait at the pool.

    Args:
        pool: where they run.
        function: gives the result of a job.
        jobs: asked for one by one, as room comes.
        limit: how many are at the pool at once.
    """
    waiting = iter(jobs)
    running: dict[Future[Result], Job] = {}
    while True:
        for job in waiting:
            running[pool.submit(function, job)] = job
            if len(running) >= limit:
                break
        if not running:
            return
        # A signal that another thread received does not end a wait without a limit.
        for future in wait(running, _WAKE_EVERY, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _prepare(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGTERM, _leave)
    if initializer is not None:
        initializer(*arguments)


def _leave(number: int, frame: FrameType | None) -> None:
    forget_unfinished()
    os._exit(128 + number)


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
