"""What the data sets of picture files share: reading, decoding, mirroring, and surviving the broken ones."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.data.decode import decode_rgb
from smoothswap.data.square import centre_square
from smoothswap.modules.face_input import crop_window

_log = logging.getLogger(__name__)
_PATIENCE = 1_000  # pictures in a row that cannot be read, after which the data set counts as unreadable


class Store(Protocol):
    """Where the bytes of pictures come from."""

    root: Path

    def read(self, number: int) -> bytes:
        """The bytes of picture file `number`.

        Raises:
            InputError: they cannot be had.
        """

    def name(self, number: int) -> str:
        """What the file is called, relative to `root`."""


class PictureDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """Pictures of people in files, each decoded when it is asked for.

    A file that cannot be read is found when it is asked for; then the next readable picture of the same person stands
    in for it, or, where the person has none, the next readable picture of all, under its own person's index. So a run
    that meets a broken file goes on, and goes on in the same way each time. `broken` lists the files met so far, by
    this process or by workers of a `torch.utils.data.DataLoader`; each is reported once through `logging`.

    Everything that grows with the number of pictures is a tensor, which worker processes share.

    Args:
        store: reads the files.
        files: integers [N], the files of the store that are used, those of a person one after another.
        people: int64 [N] person of each, ascending, 0 … P − 1 without gaps.
        image_size: side S, pixels.
        mirror: append the mirrored copy of every picture, which doubles the data set.
        crop: the part of the files, which are FFHQ crops, that the pictures show.
    """

    def __init__(
        self, store: Store, files: Tensor, people: Tensor, image_size: int, mirror: bool, crop: FaceCrop = FFHQ
    ) -> None:
        self.store = store
        self.image_size = image_size
        self.face_crop, self._window = crop, crop_window(crop)
        self.mirror = mirror
        self.labels: Tensor = people.repeat(2) if mirror else people
        self._numbers = files
        counts = torch.bincount(people)
        self.people = len(counts)
        self._starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        # Shared memory: what a worker process finds broken is known to all.
        self._broken = torch.zeros(len(files), dtype=torch.bool).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        """Number of pictures N, mirrored copies included."""
        return len(self.labels)

    @property
    def root(self) -> Path:
        """The folder that the names of files are relative to."""
        return self.store.root

    @property
    def files(self) -> Sequence[str]:
        """Names of the files, relative to `root`, without mirrored copies; made when they are asked for."""
        return _Names(self.store, self._numbers)

    @property
    def pictures_of(self) -> list[Tensor]:
        """For each person the int64 indices of their pictures, mirrored copies included."""
        own = torch.split(torch.arange(len(self._numbers)), self._starts.diff().tolist())
        return [torch.cat([part, part + len(self._numbers)]) if self.mirror else part for part in own]

    @property
    def broken(self) -> list[Path]:
        """The files that could not be read so far."""
        return [self.path(i) for i in self._broken.nonzero().flatten().tolist()]

    def path(self, index: int) -> Path:
        """The file of picture `index`, also where another one stands in for it."""
        return self.root / self.files[index % len(self._numbers)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Picture `index`, 0 … N − 1.

        Returns:
            `{"image": uint8 [3, S, S] RGB, "person": int}`.

        Raises:
            ArgumentError: an index outside of the data set.
            InputError: no picture can be read, or a thousand in a row cannot.
        """
        index, image = self.readable(index)
        return {"image": image, "person": int(self.labels[index])}

    def readable(self, index: int) -> tuple[int, Tensor]:
        """The same, with the index of the picture that stands in where the file cannot be read.

        Returns:
            Index of the picture that was read, and its uint8 [3, S, S] RGB.

        Raises:
            ArgumentError, InputError: as above.
        """
        if not 0 <= index < len(self):
            # An IndexError is what Python's iteration over a sequence waits for.
            raise _OutsideError(f"there is no picture {index}", f"the data set has {len(self)}")
        count = len(self._numbers)
        first = index % count
        for file in islice(self._candidates(first), _PATIENCE):
            image = self._read(file)
            if image is not None:
                return (file + count, image.flip(2)) if index >= count else (file, image)
        tried = f"the {count}" if count <= _PATIENCE else f"{_PATIENCE:,} of the {count:,}"
        raise InputError(
            f"none of {tried} pictures in {str(self.root)!r} can be read",
            f"for example {self.files[first]!r}",
            hint="check the files, or name another folder",
        )

    def _candidates(self, first: int) -> Iterator[int]:
        """The file itself, the others of its person from there on, then all others from there on."""
        start, stop = self._starts[self.labels[first] :][:2].tolist()
        yield from range(first, stop)
        yield from range(start, first)
        yield from range(stop, len(self._numbers))
        yield from range(start)

    def _read(self, file: int) -> Tensor | None:
        if self._broken[file]:
            return None
        number = int(self._numbers[file])
        try:
            name = str(self.root / self.store.name(number))
            least = math.ceil(self.image_size / (self._window[2] - self._window[0]))
            return centre_square(decode_rgb(self.store.read(number), name, least), self.image_size, self._window)
        except InputError as error:
            self._broken[file] = True
            _log.warning("left out a picture: %s", "; ".join([error.what, *error.facts]))
            return None


class _Names(Sequence[str]):
    def __init__(self, store: Store, numbers: Tensor) -> None:
        self._store, self._numbers = store, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._store.name(number) for number in self._numbers[index].tolist()]
        return self._store.name(int(self._numbers[index]))


class _OutsideError(ArgumentError, IndexError):
    pass


def ranges(firsts: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> Tensor:
    """The integers of several ranges one after another.

    Args:
        firsts: [R] first integer of each range.
        counts: [R] how many integers each has.

    Returns:
        int32 [Σ counts], or int64 where that is too small.
    """
    total = int(counts.sum())
    shift = np.repeat(firsts - (np.cumsum(counts) - counts), counts)
    numbers = np.arange(total) + shift
    small = total == 0 or int(numbers.max()) <= np.iinfo(np.int32).max
    return torch.from_numpy(numbers.astype(np.int32) if small else numbers)
