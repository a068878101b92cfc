"""FaceWorld as a data set: pictures of people by index, drawn when asked for or read from a cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoothswap.core.config import option
from smoothswap.core.errors import ArgumentError
from smoothswap.core.face_crop import FFHQ, CropOptions
from smoothswap.data.faceworld.cache import Shards
from smoothswap.data.faceworld.factors import Factors
from smoothswap.data.faceworld.population import HELD_OUT, SPLITS, Population
from smoothswap.data.faceworld.renderer import render
from smoothswap.modules.face_input import crop_window

LOOK = 1
"""Raised whenever the same factors give other pixels, so that no cache outlives the look it was drawn with."""


class FaceWorld:
    """N = people × images_per_person pictures; picture i shows person i // images_per_person.

    Attributes:
        labels: [N] long, the person in each picture.
        people: how many there are.
        groups: [people] long, the colour group of each person.
        attributes: [people, I], see `Population`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CropOptions):
        """What to draw. The same options always give the same pictures."""

        image_size: int = option(64, "side of the pictures, pixels", at_least=8)
        supersample: int = option(2, "rays along each side of a pixel", at_least=1, at_most=8)
        split: str = option("train", "which people", choices=SPLITS)
        groups: int = option(64, "groups of people with the same colouring and hair", at_least=1, at_most=HELD_OUT)
        people_per_group: int = option(
            8, "people in each group, who differ in shape alone", at_least=1, at_most=HELD_OUT
        )
        images_per_person: int = option(16, "pictures of each person", at_least=1)
        seed: int = option(0, "of the whole world", at_least=0)
        cache: str | None = option(None, "folder that keeps rendered pictures; none draws them anew each time")
        workers: int = option(1, "processes that fill the cache", at_least=1)

    @classmethod
    def knows(cls, config: Config) -> set[str]:
        """What there is beside pictures, see `FaceDataset`."""
        return {"attributes"}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.population = Population(config.seed, config.groups, config.people_per_group, config.split)
        self.people = len(self.population)
        self.groups = self.population.group
        self.attributes = self.population.attributes
        self.labels = torch.arange(self.people).repeat_interleave(config.images_per_person)
        self._shards: Shards | None = None
        if config.cache is not None:
            folder = Path(config.cache) / f"faceworld-{config.split}-{config.image_size}-{self.fingerprint()}"
            draw = _Draw(config)
            title = f"rendering FaceWorld ({config.split})"
            self._shards = Shards(folder, len(self), config.image_size, draw, config.workers, title)

    def fingerprint(self) -> str:
        """Sixteen hex digits that name the pictures: the options that decide them, and the look of the renderer."""
        names = ("image_size", "supersample", "split", "groups", "people_per_group", "images_per_person", "seed")
        facts = {name: getattr(self.config, name) for name in names} | {"look": LOOK}
        if self.config.face_crop != FFHQ:  # the whole crop keeps the name that it had before there were others
            facts["crop"] = str(self.config.face_crop)
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One picture: {"image": uint8 [3, S, S] RGB, "person": int}."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Several at once, which renders faster than one by one; a DataLoader uses it by itself."""
        places = [self._place(int(index)) for index in indices]
        if self._shards is not None:
            images = [torch.from_numpy(self._shards.read(place)) for place in places]
        else:
            images = list(torch.from_numpy(self.draw(places)))
        return [
            {"image": image, "person": int(self.labels[place])} for image, place in zip(images, places, strict=True)
        ]

    def factors(self, indices: Sequence[int] | Tensor) -> Factors:
        """The factors of some pictures, in the order asked for."""
        each = self.config.images_per_person
        places = [self._place(int(index)) for index in indices]
        return Factors.cat([self.population.picture(place // each, place % each) for place in places])

    def draw(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Pictures rendered anew: uint8 [len(indices), 3, S, S]."""
        image = render(
            self.factors(indices), self.config.image_size, self.config.supersample, crop_window(self.config.face_crop)
        ).image
        drawn: NDArray[np.uint8] = to_bytes(image).numpy()
        return drawn

    def _place(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        return index % len(self)


def to_bytes(image: Tensor) -> Tensor:
    """[-1, 1] float to uint8 0..255, rounded.

    Raises:
        ArgumentError: not a floating point tensor.
    """
    if not image.is_floating_point():
        raise ArgumentError(f"a picture in [-1, 1] has floating point values, not {image.dtype}")
    return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class _Draw:
    """Draws a range of pictures, also in another process."""

    def __init__(self, config: FaceWorld.Config) -> None:
        self.config = dataclasses.replace(config, cache=None, workers=1)

    def __call__(self, first: int, last: int) -> NDArray[np.uint8]:
        return _world(self.config).draw(range(first, last))


@functools.lru_cache(maxsize=1)  # a process draws many ranges of one world
def _world(config: FaceWorld.Config) -> FaceWorld:
    return FaceWorld(config)
