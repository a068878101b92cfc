"""A batch of cases in a process of its own, with limits of time and memory.

A case is named by `seed/batch/number`: hypothesis draws the cases of a batch from its seed and number, so they are the
same each time, before any of them runs.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import hypothesis
from fuzz.case import BYTES, SECONDS, Case, Part, TooSlowError, verdict

CASES = 100
"""Of a batch."""
WALL = 40 * SECONDS
"""Seconds after which a case is too slow, whatever it waits for; long, since the machine may have other work."""
_SPARE = 3_000_000_000  # bytes beyond BYTES, where the system itself says no


def draw(part: Part, seed: int, batch: int, cases: int = CASES) -> list[Case]:
    """The cases of a batch; fewer where there are no more."""
    drawn: list[Case] = []

    @hypothesis.seed(1_000_003 * seed + batch)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(part.cases)
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return drawn


def run(pipe: Connection, part: Part, seed: int, batch: int, numbers: range, cases: int) -> None:
    """Run those of a batch's cases whose `numbers` are given, and say through `pipe` how each went.

    Sends (number, says) before a case, and (number, what is wrong with it, its folder) after one that is a find.
    """
    _limit_memory()
    with _quiet():
        drawn = draw(part, seed, batch, cases)
        for number in numbers:
            if number >= len(drawn):
                break
            pipe.send((number, drawn[number].says))
            folder = Path(tempfile.mkdtemp(prefix="case-"))
            found = checked(drawn[number], folder)
            if found:
                pipe.send((number, found, str(folder)))
            else:
                shutil.rmtree(folder, ignore_errors=True)
        pipe.send(None)
    pipe.close()


def checked(case: Case, folder: Path) -> str:
    """Run a case in a folder of its own, below which also what it caches goes. What is wrong; empty for nothing."""
    before = Path.cwd()
    work = folder / "work"
    work.mkdir()
    os.environ |= {"HOME": str(folder / "home"), "SMOOTHSWAP_CACHE": str(folder / "cache")}
    os.chdir(work)
    try:
        with _memory() as used, _clock():
            found = verdict(case, work)
    except TooSlowError:  # between the case's end and the clock's
        found = "" if case.endless else f"longer than {SECONDS:g} s"
    finally:
        os.chdir(before)
    if not found and used() > BYTES:
        return f"took {used() / 1e9:.1f} GB of memory"
    return found


@contextlib.contextmanager
def _clock() -> Iterator[None]:
    """Raise a TooSlowError in the block when its time is over."""

    def late(*_: object) -> None:
        raise TooSlowError

    for number, kind, limit in (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, WALL / 2),
    ):
        signal.signal(number, late)
        signal.setitimer(kind, limit)
    try:
        yield
    finally:
        for kind in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(kind, 0)


@contextlib.contextmanager
def _memory() -> Iterator[Callable[[], int]]:
    """Give a function that says by how many bytes the process grew at most in the block; 0 where that is not known."""
    status = Path("/proc/self/status")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is there
    before = _kilobytes(status, "VmRSS")
    grown = [0]
    try:
        yield lambda: 1024 * grown[0]
    finally:
        grown[0] = _kilobytes(status, "VmHWM") - before


def _kilobytes(status: Path, key: str) -> int:
    with contextlib.suppress(OSError):
        for line in status.read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    return 0


def _limit_memory() -> None:
    size = 1024 * _kilobytes(Path("/proc/self/status"), "VmSize")
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + BYTES + _SPARE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neither Python's nor a library's own output; a traceback where the harness itself fails."""
    said = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    warnings.simplefilter("ignore")
    try:
        yield
    except BaseException:
        os.write(said, traceback.format_exc().encode())
        raise
