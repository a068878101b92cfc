"""How far a long preparation is: on a terminal a bar with the time left, elsewhere a line now and then, on stderr."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal; what is done sooner prints none."""
_BAR_AFTER = 0.5  # seconds; a bar for less would only flicker

_shown: ContextVar[bool] = ContextVar("smoothswap_progress_shown", default=True)


@contextlib.contextmanager
def progress_shown(shown: bool) -> Iterator[None]:
    """Inside, preparations report (or do not report) how far they are; an outer `False` stays."""
    token = _shown.set(_shown.get() and shown)
    try:
        yield
    finally:
        _shown.reset(token)


class Count:
    """How many things are done; see `counting`.

    Args:
        title: what is done, such as `rendering FaceWorld (train)`.
        total: how many there are; None where that is not known.
        unit: what is counted, in the plural.
        shown: False reports nothing.
    """

    def __init__(self, title: str, total: int | None, unit: str, *, shown: bool) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self._first: int | None = None  # done when the count began, such as by an earlier call
        self._shown = shown
        self._began = self._told = time.monotonic()
        self._bar: tuple[Progress, TaskID] | None = None
        if shown and total is not None and _on_terminal():
            self._open_bar()

    def advance(self, number: int = 1) -> None:
        """So many more are done."""
        if self._first is None:
            self._first = 0
        self.update(self.done + number, self.total)

    def update(self, done: int, total: int | None) -> None:
        """So many are done, of so many."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now
        self.done, self.total = done, total
        if not self._shown:
            return
        if self._bar is not None:
            self._bar[0].update(self._bar[1], completed=done, total=total)
        elif _on_terminal():
            if now - self._began >= _BAR_AFTER:
                self._open_bar()
        elif now - self._told >= LINE_EVERY:
            self._told = now
            print(self.line(now - self._began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """The state after so many seconds, in one line."""
        if self.total is None:
            return f"{self.title}: {self.done:,} {self.unit}"
        fresh = self.done - (self._first or 0)
        text = f"{self.title}: {self.done:,} of {self.total:,} {self.unit}"
        return f"{text}, {clock((self.total - self.done) * seconds / fresh)} left" if fresh > 0 else text

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar[0].stop()

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        bar = Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=120)
        try:
            bar.start()
        except LiveError:  # inside another display, which says enough
            self._shown = False
            return
        self._bar = bar, bar.add_task(self.title, total=self.total, completed=self.done)


@contextlib.contextmanager
def counting(title: str, total: int | None = None, unit: str = "images") -> Iterator[Count]:
    """Around a long preparation: yields a count whose `advance` reports how far it is. Arguments as of `Count`."""
    count = Count(title, total, unit, shown=_shown.get())
    try:
        yield count
    finally:
        count.close()


def _on_terminal() -> bool:
    """Whether a bar can be drawn: on a terminal, with rich, which only extras bring."""
    return sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


def clock(seconds: float) -> str:
    """A length of time in words: `40 s`, `9 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
