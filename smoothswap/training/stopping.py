"""What ends a run before its last image: a signal, or the time that its call was given."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from smoothswap.core.errors import ConfigError

_LENGTH = re.compile("".join(rf"(?:([0-9]+(?:\.[0-9]+)?){unit})?" for unit in "dhms"))
_SECONDS = (86_400, 3_600, 60, 1)


def parse_duration(text: str) -> float:
    """Seconds of a length of time in words: `90m`, `30s`, `2h`, `1h30m`, `1.5h`, `1d12h`.

    A number without a unit is refused: 90 may be meant as seconds or as minutes.

    Raises:
        ConfigError: anything else, and no time at all.
    """
    match = _LENGTH.fullmatch(text.strip().lower())
    parts = match.groups(default="0") if match else ()
    seconds = sum(float(part) * unit for part, unit in zip(parts, _SECONDS, strict=False))
    if not 0 < seconds < math.inf:
        bare = re.fullmatch("[0-9]+", text.strip()) and int(text) > 0
        raise ConfigError(
            f"--for cannot be {text!r}",
            "it needs a unit: d, h, m or s" if bare else "it is a length of time, longer than 0",
            hint=f"write --for {text.strip()}m for minutes, {text.strip()}s for seconds"
            if bare
            else "write --for 90m, --for 1h30m or --for 30s",
        )
    return seconds


class Deadline:
    """The time of one call, of which the end is kept for the last save.

    It is over as soon as no more is left than the last save took. Before the first save nothing is kept.

    Args:
        seconds: length of the time, which begins now; None has no end.
        clock: seconds since any moment.

    Raises:
        ConfigError: a length that is not above 0.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if seconds is not None and not 0 < seconds < math.inf:
            raise ConfigError(
                f"duration cannot be {seconds}", "allowed: more than 0 seconds", hint="None trains to the end"
            )
        self._clock = clock
        self._end = math.inf if seconds is None else clock() + seconds
        self._kept = 0.0
        self._asked: float | None = None
        self._interval = math.inf

    def over(self, *, rarely: bool = False) -> bool:
        """Whether to stop now.

        Args:
            rarely: the question comes at intervals of many steps: also stop where the time would be over before the
                next one, counting with the shortest interval so far.
        """
        now = self._clock()
        if self._asked is not None:
            self._interval = min(self._interval, now - self._asked)
        ahead = self._interval if rarely and self._asked is not None else 0.0
        self._asked = now
        return self._end - now <= self._kept + ahead

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around a save: so much time is kept for the next one."""
        began = self._clock()
        yield
        self._kept = self._clock() - began


class Interruption:
    """Turns the first Ctrl-C or termination into a wish to stop after the current step; the second acts at once.

    `signal` is the number of the signal that came, 0 before.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._old: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._ask)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.signal = int(number)
        signal.signal(number, self._old[number] or signal.SIG_DFL)
