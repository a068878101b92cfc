"""Batches in processes side by side; what they find is counted by kind and written aside with how to repeat it."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from fuzz import batch as batches
from fuzz.case import Part

_KEPT = 2  # finds of one kind whose inputs are kept
_CONTEXT = multiprocessing.get_context("fork")  # what is imported here is there already


@dataclass
class Job:
    """A batch at work."""

    part: Part
    seed: int
    batch: int
    numbers: range
    cases: int
    number: int = -1
    says: str = ""
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe(duplex=False)
        arguments = (theirs, self.part, self.seed, self.batch, self.numbers, self.cases)
        self.process = _CONTEXT.Process(target=batches.run, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    @property
    def id(self) -> str:
        """Of the case at work."""
        return f"{self.seed}/{self.batch}/{self.number}"


@dataclass
class Finds:
    """What was found, by kind."""

    folder: Path
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, job: Job, what: str, left: str = "") -> None:
        """Count a find; of the first few of a kind, keep the input (in the folder `left`) and how to repeat it."""
        kind = kind_of(what)
        self.kinds[job.part.name, kind] += 1
        if self.kinds[job.part.name, kind] <= _KEPT:
            place = self.folder / f"{job.part.name}-{job.id.replace('/', '-')}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            if left:
                shutil.copytree(left, place / "input", symlinks=True, ignore_dangling_symlinks=True)
            command = f"make fuzz PARTS={job.part.name} CASE={job.id}"
            (place / "find.txt").write_text(f"{command}\n\n{job.says}\n\n{what}\n", errors="backslashreplace")
            print(f"found {place}: {kind}", flush=True)
        shutil.rmtree(left, ignore_errors=True)


def kind_of(what: str) -> str:
    """What finds of one cause share: what is wrong, and the last line of smoothswap's that it went through."""
    lines = what.strip().splitlines()
    raised = lines[0].startswith("Traceback")
    last = lines[-1].partition(":")[0] if raised else re.sub(r"\d[\d.]*", "N", lines[0])[:100]
    places = re.findall(r'File ".*/(smoothswap/[\w/]+\.py)", line (\d+)', what)
    return f"{last} at {':'.join(places[-1])}" if places else last


def search(parts: list[Part], cases: int, seed: int, jobs: int, finds: Finds, seconds: float) -> Counter[str]:
    """Run so many cases of each part, or as many as fit into the time. How many ran, by part."""
    each = batches.CASES
    todo = [(part, n, min(each, cases - n * each)) for n in range(-(-cases // each)) for part in parts]
    ran: Counter[str] = Counter()
    active: list[Job] = []
    start = time.monotonic()
    while active or (todo and time.monotonic() - start < seconds):
        while todo and len(active) < jobs and time.monotonic() - start < seconds:
            part, number, count = todo.pop(0)
            active.append(Job(part, seed, number, range(count), count))
        for pipe in wait([job.pipe for job in active], timeout=1.0):
            job = next(job for job in active if job.pipe is pipe)
            again = _heard(job, ran, finds)
            if again is not job:
                active.remove(job)
                active += [again] * (again is not None)
        for job in list(active):
            if time.monotonic() - job.since > batches.WALL:
                job.process.kill()  # heard of as a death
    return ran


def _heard(job: Job, ran: Counter[str], finds: Finds) -> Job | None:
    """Take a message of a batch: the job goes on, another for the cases behind a death, None where it is over."""
    try:
        message = job.pipe.recv()
    except EOFError:
        return _after_death(job, finds)
    job.since = time.monotonic()
    if message is None:
        job.process.join()
        return None
    if len(message) == 2:
        job.number, job.says = message
        ran[job.part.name] += 1
    else:
        finds.add(job, *message[1:])
    return job


def _after_death(job: Job, finds: Finds) -> Job | None:
    job.process.join()
    code = job.process.exitcode or 0
    late = time.monotonic() - job.since > batches.WALL
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    finds.add(job, f"longer than {batches.WALL:g} s" if late else f"the process died: {name}\n{job.says}")
    rest = range(job.number + 1, job.cases)
    return Job(job.part, job.seed, job.batch, rest, job.cases) if rest and job.number >= 0 else None
