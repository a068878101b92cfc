"""What the folder data sets share: finding the files, splitting them, and surviving the broken ones."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.data.decode import SUFFIXES, read_rgb
from smoothswap.data.square import centre_square

_log = logging.getLogger(__name__)


def find_pictures(folder: Path) -> list[str]:
    """All picture files below a folder as sorted paths relative to it, with `/`; hidden files and folders are left out.

    Links to folders are followed, each real folder once.

    Raises:
        InputError: there is no such folder, or it may not be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {str(folder)!r}", "it is a file" if folder.exists() else "the path does not exist"
        )
    found: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real not in seen:
            inside = Path(place).relative_to(folder)
            found += [(inside / name).as_posix() for name in files if _is_picture(name)]
        seen.add(real)
    return sorted(found)


def held_out(name: str, share: float) -> bool:
    """Whether a name belongs to the held-out part: decided by its hash, so it stays when others come or go.

    Args:
        name: file name without suffix, or folder name.
        share: part of all names that is held out, 0 … 1.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


def in_split(name: str, split: str, share: float) -> bool:
    """Whether a name belongs to `train`, `held_out` or `all`."""
    return split == "all" or held_out(name, share) == (split == "held_out")


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


class FolderDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """Pictures of people in files, each decoded when it is asked for.

    A file that cannot be read is found when it is asked for; then the next readable picture of the same person stands
    in for it, or, where the person has none, the next readable picture of all, under its own person's index. So a run
    that meets a broken file goes on, and goes on in the same way each time. `broken` lists the files met so far, by
    this process or by workers of a `torch.utils.data.DataLoader`; each is reported once through `logging`.

    Args:
        root: the folder.
        files: N paths relative to `root`.
        people: person index of each file, 0 … P − 1 without gaps.
        image_size: side S, pixels.
        mirror: append the mirrored copy of every picture, which doubles the data set.
    """

    def __init__(self, root: Path, files: Sequence[str], people: Sequence[int], image_size: int, mirror: bool) -> None:
        self.root = root
        self.files = list(files)
        self.image_size = image_size
        self.mirror = mirror
        persons = torch.tensor(people, dtype=torch.int64)
        self.people = int(persons.max()) + 1
        self.labels: Tensor = persons.repeat(2) if mirror else persons
        self._files_of = _group(persons, self.people)
        # Shared memory: what a worker process finds broken is known to all.
        self._broken = torch.zeros(len(files), dtype=torch.bool).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        """Number of pictures N, mirrored copies included."""
        return len(self.labels)

    @property
    def pictures_of(self) -> list[Tensor]:
        """For each person the int64 indices of their pictures, mirrored copies included."""
        return _group(self.labels, self.people)

    @property
    def broken(self) -> list[Path]:
        """The files that could not be read so far."""
        return [self.root / self.files[i] for i in self._broken.nonzero().flatten().tolist()]

    def path(self, index: int) -> Path:
        """The file of picture `index`, also where another one stands in for it."""
        return self.root / self.files[index % len(self.files)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Picture `index`, 0 … N − 1.

        Returns:
            `{"image": uint8 [3, S, S] RGB, "person": int}`.

        Raises:
            ArgumentError: an index outside of the data set.
            InputError: not one picture of the whole data set can be read.
        """
        if not 0 <= index < len(self):
            # An IndexError is what Python's iteration over a sequence waits for.
            raise _OutsideError(f"there is no picture {index}", f"the data set has {len(self)}")
        first = index % len(self.files)
        for file in self._candidates(first):
            image = self._read(file)
            if image is not None:
                mirrored = index >= len(self.files)
                return {"image": image.flip(2) if mirrored else image, "person": int(self.labels[file])}
        raise InputError(
            f"none of the {len(self.files)} pictures in {str(self.root)!r} can be read",
            f"for example {self.files[first]!r}",
            hint="check the files, or name another folder",
        )

    def _candidates(self, first: int) -> Iterator[int]:
        """The file itself, the others of its person from there on, then all others from there on."""
        own = self._files_of[int(self.labels[first])].tolist()
        start = own.index(first)
        yield from own[start:] + own[:start]
        count, mine = len(self.files), set(own)
        yield from (i % count for i in range(first + 1, first + count) if i % count not in mine)

    def _read(self, file: int) -> Tensor | None:
        if self._broken[file]:
            return None
        try:
            return centre_square(read_rgb(self.root / self.files[file]), self.image_size)
        except InputError as error:
            self._broken[file] = True
            _log.warning("left out a picture: %s", "; ".join([error.what, *error.facts]))
            return None


class _OutsideError(ArgumentError, IndexError):
    pass


def _group(labels: Tensor, people: int) -> list[Tensor]:
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels, minlength=people).tolist()
    return list(torch.split(order, counts))
