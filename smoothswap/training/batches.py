"""Batches of faces on the device."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from smoothswap.core.interfaces import FaceDataset
from smoothswap.data.loader import Loader
from smoothswap.data.range import to_float
from smoothswap.data.sampler import BatchSampler


class Batch(NamedTuple):
    """Faces and who they are.

    Args:
        images: [B, 3, S, S] in [-1, 1].
        labels: person index, int64 [B].
    """

    images: Tensor
    labels: Tensor


class Batches:
    """This process's batches of a data set, on its device, with a position that can be saved and restored.

    Args:
        dataset: faces by index.
        sampler: indices of this process's batches.
        device: where the batches go.
        workers: reading processes; 0 reads in this one.
        memory_format: order of the images in memory.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        sampler: BatchSampler,
        device: torch.device,
        *,
        workers: int = 0,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        pictures = cast("Dataset[dict[str, Any]]", dataset)
        self._loader = Loader(pictures, sampler, workers=workers, pin_memory=device.type == "cuda")
        self._device = device
        self._memory_format = memory_format

    def next(self) -> Batch:
        """The next batch.

        Raises:
            InputError: the data set cannot be read.
            WorkError: a reading process died.
        """
        batch = next(self._loader)
        images = batch["image"].to(self._device, non_blocking=True)
        return Batch(
            to_float(images).contiguous(memory_format=self._memory_format),
            batch["person"].to(self._device, non_blocking=True),
        )

    def state(self) -> dict[str, int]:
        """The position after the batches handed out so far."""
        return self._loader.state()

    def restore(self, state: dict[str, int]) -> None:
        """Return to a position.

        Raises:
            CheckpointError: it is one of another data set, batch size or number of processes.
        """
        self._loader.restore(state)

    def close(self) -> None:
        """End the reading processes."""
        self._loader.close()


def faces_at(dataset: FaceDataset, indices: list[int]) -> Tensor:
    """The faces at some indices as float [N, 3, S, S] in [-1, 1], on the CPU."""
    return to_float(torch.stack([torch.as_tensor(dataset[index]["image"]) for index in indices]))
