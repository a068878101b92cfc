"""Times several calls in turn, so that drift of the machine, its caches and its allocator meet all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Call = Callable[[], object]

# What is gone through between two calls, to empty the caches. It is read: what is written would be left to the next
# call to write back.
FLUSH_BYTES = {"cpu": 64 << 20, "cuda": 256 << 20}
# device: least and most rounds, and the seconds that decide between them
ROUNDS = {"cpu": (5, 15, 0.6), "cuda": (15, 60, 0.4)}


class Clock:
    """Milliseconds of single calls on a device, each with cold caches.

    Args:
        device: a CPU is timed by the wall clock, a GPU by its own events.
        tiny: two rounds only, to try the code.
    """

    def __init__(self, device: torch.device, tiny: bool = False) -> None:
        self.device, self.tiny = device, tiny
        self._flush = torch.zeros(FLUSH_BYTES[device.type] // (1024 if tiny else 4), device=device)

    def once(self, call: Call, repeat: int = 1) -> float:
        """One sample: the mean of `repeat` calls; only a single call starts with cold caches."""
        if repeat == 1:
            self._flush.sum()
        if self.device.type != "cuda":
            start = time.perf_counter()
            for _ in range(repeat):
                call()  # its result is freed within the time, as it is in a training step
            return (time.perf_counter() - start) * 1e3 / repeat
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(repeat):
            call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / repeat

    def rounds(self, seconds_a_round: float) -> int:
        """How many rounds are worth their time."""
        if self.tiny:
            return 2
        least, most, budget = ROUNDS[self.device.type]
        return min(max(int(budget / max(seconds_a_round, 1e-9)), least), most)


class Turns:
    """Contestants that take turns; every round begins with another one.

    Args:
        clock: what times them.
        contestants: name → call.
        repeat: calls in one sample, for calls too short to be timed alone.
    """

    def __init__(self, clock: Clock, contestants: Mapping[str, Call], repeat: int = 1) -> None:
        self.clock, self.contestants, self.repeat = clock, dict(contestants), repeat
        self.samples: dict[str, list[float]] = {name: [] for name in contestants}
        self._start = 0

    def warm_up(self) -> int:
        """A round that does not count; gives the number of rounds that shall."""
        self.round()
        seconds = sum(values[-1] for values in self.samples.values()) * self.repeat / 1e3
        for values in self.samples.values():
            values.clear()
        return self.clock.rounds(seconds)

    def round(self) -> None:
        """One sample of each."""
        names = list(self.contestants)
        for name in names[self._start :] + names[: self._start]:
            self.samples[name].append(self.clock.once(self.contestants[name], self.repeat))
        self._start = (self._start + 1) % len(names)

    def medians(self) -> dict[str, float]:
        """Milliseconds by name."""
        return {name: statistics.median(values) for name, values in self.samples.items()}
