"""Pictures rendered once and kept: shards of uint8 arrays in a folder of their own for every configuration."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smoothswap.core.errors import WorkError
from smoothswap.core.files import write_aside
from smoothswap.core.workers import fresh_processes, may_start_processes

SHARD = 512
"""Pictures in one file."""

Draw = Callable[[int, int], NDArray[np.uint8]]
"""Pictures `first` up to, not including, `last`: uint8 [last - first, C, S, S]. It must pickle when workers draw."""


class Shards:
    """`count` pictures of `size` pixels in `folder`, drawn where they are missing or damaged.

    Args:
        folder: of this configuration alone.
        count: of pictures.
        size: S, pixels.
        draw: makes a shard.
        workers: processes that draw; 1 draws here.
        title: shown beside the progress bar.
        channels: C of a picture: 3 of RGB, and those of masks.

    Raises:
        WorkError: the folder cannot be written, or a worker died; finished shards stay, and the next call goes on.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        size: int,
        draw: Draw,
        workers: int = 1,
        title: str = "rendering",
        channels: int = 3,
    ) -> None:
        self.folder, self.count, self.size, self.channels = folder, count, size, channels
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkError(
                f"cannot make the cache folder {folder}", str(error), hint="Choose another `cache`."
            ) from error
        shards = range(-(-count // SHARD))
        missing = [shard for shard in shards if self._open(shard) is None]
        self.drawn = len(missing)
        if missing:
            self._fill(missing, draw, workers, title)
        self._arrays = [array for shard in shards if (array := self._open(shard)) is not None]
        if len(self._arrays) != len(shards):
            raise WorkError(f"the cache in {folder} is damaged", hint="Delete that folder; it will be drawn again.")

    def read(self, index: int) -> NDArray[np.uint8]:
        """A copy of one picture, uint8 [C, S, S]."""
        return np.array(self._arrays[index // SHARD][index % SHARD])

    def path(self, shard: int) -> Path:
        """The file of a shard."""
        return self.folder / f"{shard:05d}.npy"

    def _range(self, shard: int) -> tuple[int, int]:
        return shard * SHARD, min(self.count, (shard + 1) * SHARD)

    def _open(self, shard: int) -> NDArray[np.uint8] | None:
        """The shard without reading it, or None where it is missing, cut short or of another shape."""
        first, last = self._range(shard)
        return _open(self.path(shard), (last - first, self.channels, self.size, self.size))

    def _fill(self, missing: list[int], draw: Draw, workers: int, title: str) -> None:
        # Other processes may fill the same cache: each in an order of its own, they seldom draw the same shard at once.
        random.SystemRandom().shuffle(missing)
        picture = self.channels, self.size, self.size
        with _progress(title, len(missing) * SHARD) as advance:
            if workers <= 1 or len(missing) == 1 or not may_start_processes():
                for shard in missing:
                    _make(self.path(shard), draw, *self._range(shard), picture)
                    advance(SHARD)
                return
            try:
                with (
                    fresh_processes() as fresh,
                    ProcessPoolExecutor(min(workers, len(missing)), mp_context=fresh, initializer=_one_thread) as pool,
                ):
                    jobs = [
                        pool.submit(_make, self.path(shard), draw, *self._range(shard), picture) for shard in missing
                    ]
                    try:
                        for job in as_completed(jobs):
                            job.result()
                            advance(SHARD)
                    except BaseException:
                        pool.shutdown(cancel_futures=True)
                        raise
            except BrokenProcessPool as error:
                raise WorkError(
                    "a worker that rendered FaceWorld died",
                    str(error),
                    hint="Run again: finished shards are kept. With too little memory, use fewer workers.",
                ) from error


def _one_thread() -> None:
    torch.set_num_threads(1)


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """A shard without reading it, or None where it is missing, cut short or of another shape."""
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.dtype == np.uint8 and array.shape == shape else None


def _make(path: Path, draw: Draw, first: int, last: int, picture: tuple[int, ...]) -> None:
    if _open(path, (last - first, *picture)) is not None:
        return  # another process has drawn it meanwhile
    pictures = draw(first, last)
    with write_aside(path) as aside, aside.open("wb") as file:
        np.save(file, pictures, allow_pickle=False)


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], Any]]:
    """A bar with the time left on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
