"""Two photographs of one person, as a swap whose answer is known: put in the person who is there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.config import option
from smoothswap.data.identity_folder import IdentityFolder


class SamePersonPairs(torch.utils.data.Dataset[dict[str, Any]]):
    """Pairs of different pictures of one person from a folder with a sub-folder for each: the truth is the target.

    They teach a generator on photographs, where no other true swap is known, to draw a face from its identity. Alone
    they teach it to copy the target, so they are mixed with pairs of two people.

    Pair i has picture i of the folder as its target; its source is the next picture of the same person, or the target
    itself where no other can be read.

    Attributes:
        labels: int64 [N], person of each pair.
        people: number of people.

    Raises:
        InputError: the folder is missing, or has fewer than two people with two pictures in this split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(IdentityFolder.Config):
        """Options of `same_person`."""

        min_images: int = option(2, "people with fewer pictures are left out", at_least=2)

    @classmethod
    def knows(cls, config: Config) -> set[str]:
        """What there is beside pictures, see `FaceDataset`."""
        return {"truth"}

    def __init__(self, config: Config) -> None:
        self.config = config
        options = {name: getattr(config, name) for name in config.__dataclass_fields__}
        self.pictures = IdentityFolder(IdentityFolder.Config(**options))
        self.labels: Tensor = self.pictures.labels
        self.people = self.pictures.people
        self._next = torch.empty_like(self.labels)
        for own in self.pictures.pictures_of:
            for part in own.chunk(2) if config.mirror else (own,):  # a mirrored target has a mirrored source
                self._next[part] = part.roll(-1)

    @property
    def broken(self) -> list[Any]:
        """The files that could not be read so far."""
        return self.pictures.broken

    def __len__(self) -> int:
        """Number of pairs N, as many as there are pictures."""
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Pair `index`, 0 … N − 1.

        Returns:
            `image`, `source` and `truth`, which is `image`: uint8 [3, S, S] RGB; `person` and `source_person`.

        Raises:
            ArgumentError: an index outside of the data set.
            InputError: no picture can be read.
        """
        target = self.pictures[index]
        source = self.pictures[int(self._next[index])]
        person = target["person"]
        # Another person's picture stands in where none of this person can be read.
        image = source["image"] if source["person"] == person else target["image"]
        return {**target, "source": image, "truth": target["image"], "source_person": person}
