"""Pictures rendered once and kept: shards of uint8 arrays in a folder of their own for every configuration."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Generator, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from smoothswap.core.errors import WorkError
from smoothswap.core.files import write_aside
from smoothswap.core.progress import counting
from smoothswap.core.workers import may_start_processes, process_pool, results

SHARD = 512
"""Pictures in one file."""
PIECE = 32
"""Pictures that are drawn between two reports of how far it is. The renderer's own portions divide it."""

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
        total = sum(last - first for first, last in map(self._range, missing))
        with counting(title, total) as count, contextlib.closing(self._drawn(missing, draw, workers)) as drawn:
            parts: dict[int, list[tuple[int, NDArray[np.uint8]]]] = {shard: [] for shard in missing}
            for first, pictures in drawn:
                shard = first // SHARD
                parts[shard].append((first, pictures))
                count.advance(len(pictures))
                start, end = self._range(shard)
                if sum(len(part) for _, part in parts[shard]) == end - start and self._open(shard) is None:
                    _save(self.path(shard), [part for _, part in sorted(parts.pop(shard), key=lambda item: item[0])])

    def _drawn(self, missing: list[int], draw: Draw, workers: int) -> Generator[tuple[int, NDArray[np.uint8]]]:
        """The pieces of the missing shards, each with the number of its first picture."""
        pieces = self._pieces(missing)
        if workers <= 1 or len(missing) == 1 or not may_start_processes():
            yield from ((first, draw(first, last)) for first, last in pieces)
            return
        try:
            with process_pool(min(workers, len(missing)), _one_thread) as pool:
                for (first, _), pictures in results(pool, _Call(draw), pieces, 2 * workers):
                    yield first, pictures
        except BrokenProcessPool as error:
            raise WorkError(
                "a worker that rendered FaceWorld died",
                str(error),
                hint="Run again: finished shards are kept. With too little memory, use fewer workers.",
            ) from error

    def _pieces(self, missing: list[int]) -> Iterator[tuple[int, int]]:
        for shard in missing:
            start, end = self._range(shard)
            for first in range(start, end, PIECE):
                if self._open(shard) is not None:
                    break  # another process has drawn it meanwhile
                yield first, min(first + PIECE, end)


@dataclass(frozen=True)
class _Call:
    """`draw` as a function of one argument."""

    draw: Draw

    def __call__(self, piece: tuple[int, int]) -> NDArray[np.uint8]:
        return self.draw(*piece)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """A shard without reading it, or None where it is missing, cut short or of another shape."""
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.dtype == np.uint8 and array.shape == shape else None


def _save(path: Path, parts: list[NDArray[np.uint8]]) -> None:
    with write_aside(path) as aside, aside.open("wb") as file:
        np.save(file, np.concatenate(parts), allow_pickle=False)
