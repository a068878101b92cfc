"""FaceWorld as pairs with their truth: each scene is drawn once with each of several people in it.

Letters: N scenes, K people in each, R pictures of each person. Of two pictures of one scene each is the true swap of
the other, so N·K rendered pictures give N·K·(K − 1) targets with their truth, and any other picture of the person in
the truth will do as the source.
"""

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
from smoothswap.core.errors import ConfigError
from smoothswap.core.face_crop import FFHQ, CropOptions
from smoothswap.data.faceworld.cache import Shards
from smoothswap.data.faceworld.dataset import LOOK, to_bytes
from smoothswap.data.faceworld.factors import Factors
from smoothswap.data.faceworld.population import HELD_OUT, SPLITS, Population
from smoothswap.data.faceworld.renderer import Rendered, render
from smoothswap.data.faceworld.scenes import Scenes
from smoothswap.data.look_alikes import Runs
from smoothswap.modules.face_input import crop_window

_CHANNELS = 5  # RGB, face, head
_SCHEME = 1  # raised whenever the same options give other people in other scenes, or other channels
_ORDER = 11  # stream of random numbers that puts people into scenes


class FaceWorldSwaps:
    """Triplets of target, source and true swap; the same options always give the same ones.

    Attributes:
        labels: [len] long, the person in each target.
        people: how many there are.
        groups: [people] long, the colour group of each person.
        attributes: [people, I], see `Population`.
        shown: [N·K] long, the person in each rendered picture; pictures K·n to K·n + K − 1 show scene n.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CropOptions):
        """What to draw: groups × people_per_group × pictures_per_person pictures."""

        image_size: int = option(64, "side of the pictures, pixels", at_least=8)
        supersample: int = option(2, "rays along each side of a pixel", at_least=1, at_most=8)
        split: str = option("train", "which people", choices=SPLITS)
        groups: int = option(200, "groups of people with the same colouring and hair", at_least=1, at_most=HELD_OUT)
        people_per_group: int = option(
            10, "people in each group, who differ in shape alone", at_least=1, at_most=HELD_OUT
        )
        pictures_per_person: int = option(8, "R, scenes in which each person is seen", at_least=2)
        people_per_scene: int = option(4, "K, people with whom each scene is drawn", at_least=2)
        look_alikes: int = option(
            2, "people of one group that come together into a scene; 1: only by chance", at_least=1
        )
        pairs: bool = option(True, "pairs with their truth; no: picture by picture, for an embedder")
        seed: int = option(0, "of the whole world", at_least=0)
        cache: str | None = option(None, "folder that keeps rendered pictures; none draws them anew each time")
        workers: int = option(1, "processes that fill the cache", at_least=1)

        def __post_init__(self) -> None:
            super().__post_init__()
            people, K = self.groups * self.people_per_group, self.people_per_scene
            if people % K:
                raise ConfigError(
                    f"{people} people cannot be shared out to scenes of {K}",
                    hint="choose groups × people_per_group as a multiple of people_per_scene",
                )

    @classmethod
    def knows(cls, config: Config) -> set[str]:
        """What there is beside pictures, see `FaceDataset`."""
        return {"attributes", "truth", "masks"} if config.pairs else {"attributes"}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.population = Population(config.seed, config.groups, config.people_per_group, config.split)
        self.people = len(self.population)
        self.groups = self.population.group
        K, R = config.people_per_scene, config.pictures_per_person
        runs = Runs(self.groups.numpy(), config.look_alikes)
        self.shown = torch.from_numpy(np.concatenate([runs.order(config.seed, _ORDER, round_) for round_ in range(R)]))
        # Round r shows everybody once, so column r of a person's pictures is the one of that round.
        self._pictures = self.shown.view(R, self.people).argsort(1).T + self.people * torch.arange(R)  # [people, R]
        self.variants = (K - 1) * (R - 1) if config.pairs else 1
        self.attributes = self.population.attributes
        self.labels = self.shown.repeat_interleave(self.variants)
        self._scenes = Scenes(self.population, len(self.shown) // K)
        self._shards: Shards | None = None
        if config.cache is not None:
            folder = Path(config.cache) / f"faceworld-swaps-{config.split}-{config.image_size}-{self.fingerprint()}"
            title = f"rendering FaceWorld's scenes ({config.split})"
            count, size = len(self.shown), config.image_size
            self._shards = Shards(folder, count, size, _Draw(config), config.workers, title, _CHANNELS)

    def fingerprint(self) -> str:
        """Sixteen hex digits that name the pictures: the options that decide them, and the look of the renderer."""
        facts = {name: getattr(self.config, name) for name in _DECIDES} | {"look": LOOK, "scheme": _SCHEME}
        if self.config.face_crop != FFHQ:  # the whole crop keeps the name that it had before there were others
            facts["crop"] = str(self.config.face_crop)
        return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One triplet.

        Returns:
            `image`, `source`, `truth`: uint8 [3, S, S]; `person` in the target, `source_person`; `face` and `head`:
            uint8 [2, S, S], shares of the pixels (255: all) in target and truth. Without `pairs` `image` and `person`
            alone.

        Raises:
            IndexError: no such triplet.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Several at once; a DataLoader uses it by itself."""
        if not self.config.pairs:
            return self._singles([int(index) for index in indices])
        places = [self.pictures_of(int(index)) for index in indices]
        wanted = sorted({place for places_ in places for place in places_})
        drawn = dict(zip(wanted, torch.from_numpy(self._read(wanted)), strict=True))
        return [self._item(places_, [drawn[place] for place in places_]) for places_ in places]

    def pictures_of(self, index: int) -> tuple[int, int, int]:
        """The rendered pictures of a triplet: target, source, true swap.

        Raises:
            IndexError: no such triplet.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"triplet {index} of {len(self)}")
        K, R = self.config.people_per_scene, self.config.pictures_per_person
        target, variant = divmod(index % len(self), self.variants)
        other, round_ = divmod(variant, R - 1)
        truth = target - target % K + (target % K + 1 + other) % K
        source_round = (truth // self.people + 1 + round_) % R
        return target, int(self._pictures[self.shown[truth], source_round]), truth

    def factors(self, pictures: Sequence[int] | Tensor) -> Factors:
        """The factors of rendered pictures (not of triplets), in the order asked for."""
        wanted = torch.as_tensor(pictures, dtype=torch.long)
        people = self.population.identities[self.shown[wanted]]
        return self._scenes.factors(wanted // self.config.people_per_scene, people)

    def draw(self, pictures: Sequence[int]) -> NDArray[np.uint8]:
        """Pictures rendered anew, with their masks: uint8 [len(pictures), 5, S, S]: RGB, face, head."""
        return self._draw(pictures, torch.device("cpu")).numpy()

    @property
    def draws_on_device(self) -> bool:
        """Whether `batch` is the way to read it on a GPU, which draws faster than a cache is read."""
        return self.config.cache is None

    def batch(self, indices: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        """Triplets drawn anew on a device, as their collated items would be.

        Args:
            indices: B of them.
            device: where to draw; the factors go there in one transfer.

        Returns:
            `image`, `source`, `truth`: uint8 [B, 3, S, S]; `face`, `head`: uint8 [B, 2, S, S]; `person`,
            `source_person`: long [B]; all on the device.

        Raises:
            IndexError: no such triplet.
        """
        places = torch.tensor([self.pictures_of(int(index)) for index in indices]).T  # [3, B]
        wanted, rows = torch.unique(places, return_inverse=True)
        drawn = self._draw(wanted, device)
        moved = torch.stack([*rows, self.shown[places[0]], self.shown[places[2]]])
        moved = moved.to(device, non_blocking=device.type == "cuda")
        target, source, truth = (drawn[rows] for rows in moved[:3])
        return {
            "image": target[:, :3],
            "source": source[:, :3],
            "truth": truth[:, :3],
            "face": torch.stack([target[:, 3], truth[:, 3]], 1),
            "head": torch.stack([target[:, 4], truth[:, 4]], 1),
            "person": moved[3],
            "source_person": moved[4],
        }

    def _draw(self, pictures: Sequence[int] | Tensor, device: torch.device) -> Tensor:
        factors = self.factors(pictures)
        factors = factors if device.type == "cpu" else factors.to(device)
        return with_masks(
            render(factors, self.config.image_size, self.config.supersample, crop_window(self.config.face_crop))
        )

    def _read(self, pictures: list[int]) -> NDArray[np.uint8]:
        if self._shards is None:
            return self.draw(pictures)
        return np.stack([self._shards.read(picture) for picture in pictures])

    def _singles(self, pictures: list[int]) -> list[dict[str, Any]]:
        images = torch.from_numpy(self._read([range(len(self))[picture] for picture in pictures]))
        return [
            {"image": image[:3], "person": int(self.shown[picture])}
            for image, picture in zip(images, pictures, strict=True)
        ]

    def _item(self, places: tuple[int, int, int], drawn: list[Tensor]) -> dict[str, Any]:
        target, source, truth = drawn
        return {
            "image": target[:3],
            "source": source[:3],
            "truth": truth[:3],
            "face": torch.stack([target[3], truth[3]]),
            "head": torch.stack([target[4], truth[4]]),
            "person": int(self.shown[places[0]]),
            "source_person": int(self.shown[places[2]]),
        }


_DECIDES = (
    "image_size", "supersample", "split", "groups", "people_per_group", "pictures_per_person", "people_per_scene",
    "look_alikes", "seed",
)  # fmt: skip


def with_masks(drawn: Rendered) -> Tensor:
    """Image, face and head of B pictures as uint8 [B, 5, S, S]; shares of a pixel become 0 … 255."""
    masks = torch.cat([drawn.face, drawn.head], 1)
    return torch.cat([to_bytes(drawn.image), (masks * 255).round().to(torch.uint8)], 1)


class _Draw:
    """Draws a range of pictures, also in another process."""

    def __init__(self, config: FaceWorldSwaps.Config) -> None:
        self.config = dataclasses.replace(config, cache=None, workers=1)

    def __call__(self, first: int, last: int) -> NDArray[np.uint8]:
        return _world(self.config).draw(range(first, last))


@functools.lru_cache(maxsize=1)  # a process draws many ranges of one world
def _world(config: FaceWorldSwaps.Config) -> FaceWorldSwaps:
    return FaceWorldSwaps(config)
