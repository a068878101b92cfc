"""Batches of a data set, read ahead by worker processes, whose position can be saved and restored exactly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from smoothswap.core.errors import ConfigError, SmoothSwapError, WorkError
from smoothswap.core.workers import may_start_processes
from smoothswap.data.sampler import BatchSampler


class Loader:
    """Endless batches of a data set in the order of a sampler.

    Workers read ahead of the training, but the state of the loader belongs to the last batch that was handed out:
    after `restore`, the next batch is the one that would have followed it.

    Args:
        dataset: gives `{"image": uint8 [3, S, S], "person": int, …}` by index, and the same each time.
        sampler: chooses the indices of each batch; the loader moves its position.
        workers: worker processes; 0 reads in this process, as does a process that may not start others.
        prefetch: batches that each worker reads ahead.
        pin_memory: put batches into page-locked memory, for faster copies to a GPU.

    Raises:
        ConfigError: a negative number of workers, or none to read ahead.
    """

    def __init__(
        self,
        dataset: Dataset[dict[str, Any]],
        sampler: BatchSampler,
        *,
        workers: int = 0,
        prefetch: int = 2,
        pin_memory: bool = False,
    ) -> None:
        if workers < 0 or prefetch < 1:
            raise ConfigError(
                f"a loader cannot have {workers} workers that read {prefetch} batches ahead",
                "allowed: 0 or more workers, 1 or more batches",
            )
        self.dataset = dataset
        self.sampler = sampler
        self.workers = workers if may_start_processes() else 0  # the batches are the same
        self.prefetch = prefetch
        self.pin_memory = pin_memory
        self._batches: Iterator[dict[str, Any] | SmoothSwapError] | None = None

    def __iter__(self) -> Loader:
        return self

    def __next__(self) -> dict[str, Any]:
        """The next batch: `{"image": uint8 [B, 3, S, S], "person": int64 [B], …}`.

        Raises:
            InputError: the data set cannot be read at all.
            WorkError: a worker process died.
        """
        batch = self._next()
        if isinstance(batch, SmoothSwapError):
            self.close()
            raise batch
        self.sampler.position += 1
        return batch

    def _next(self) -> dict[str, Any] | SmoothSwapError:
        try:
            if self._batches is None:
                self._batches = self._start()
            return next(self._batches)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            what = str(error).splitlines()[0]
        # Outside of the handler, and without a cause: its traceback would keep torch's iterator alive, and with it the
        # signal handler that reports the dead process again and again, wherever the program is by then.
        self.close()
        return WorkError(
            "a process that reads pictures died",
            what,
            hint="often the memory is full: use fewer workers or smaller batches",
        )

    def state(self) -> dict[str, int]:
        """The state of the sampler after the last batch that was handed out."""
        return self.sampler.state()

    def restore(self, state: dict[str, int]) -> None:
        """Continue behind the saved batch.

        Raises:
            CheckpointError: the state was saved with another sampler.
        """
        self.close()
        self.sampler.restore(state)

    def close(self) -> None:
        """End the workers; the next batch would start new ones, at the same position."""
        self._batches = None

    def _start(self) -> Iterator[dict[str, Any] | SmoothSwapError]:
        loader = DataLoader(
            _Fetch(self.dataset),
            batch_sampler=_Ahead(self.sampler),
            num_workers=self.workers,
            prefetch_factor=self.prefetch if self.workers else None,
            collate_fn=_collate,
            pin_memory=self.pin_memory,
            # Its random numbers would otherwise come from, and move, the generator that the training saves.
            generator=torch.Generator().manual_seed(self.sampler.seed),
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork after threads were started, which torch always has; the workers use none.
            warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
            return iter(loader)


class _Ahead:
    """The sampler's batches from its position on, without moving it."""

    def __init__(self, sampler: BatchSampler) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[list[int]]:
        position = self.sampler.position
        while True:
            yield self.sampler.batch_at(position)
            position += 1


class _Fetch(Dataset[Any]):
    """Hands our errors over as values: torch would wrap the text of an exception of a worker in a traceback."""

    def __init__(self, dataset: Dataset[dict[str, Any]]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> dict[str, Any] | SmoothSwapError:
        try:
            return self.dataset[index]
        except SmoothSwapError as error:
            return error


def _collate(items: Sequence[dict[str, Any] | SmoothSwapError]) -> Any:
    error = next((item for item in items if isinstance(item, SmoothSwapError)), None)
    return default_collate(list(items)) if error is None else error
