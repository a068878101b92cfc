"""Sharded tar files in WebDataset's layout, read at random."""

from __future__ import annotations

import logging
import os
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from smoothswap.core.config import option
from smoothswap.core.errors import ConfigError, InputError
from smoothswap.core.face_crop import CropOptions
from smoothswap.core.picture_files import counted
from smoothswap.data.pictures import PictureDataset
from smoothswap.data.shard_index import choose_person
from smoothswap.data.shard_listing import Found, list_shards
from smoothswap.data.shard_names import shard_files
from smoothswap.data.split import in_split

_log = logging.getLogger(__name__)
_OPEN = 64  # files that a process keeps open


class WebDataset(PictureDataset):
    """Pictures of known people in tar files, each picture read where it lies, in any order.

    A sample is what shares a name up to the first dot; its first picture is used. Whom it shows is said by its `.cls`
    member, by a key of its `.json`, or by the folder of its name. The shards are listed once, by their headers, and
    those that changed in size or time are listed anew. `names` are the people in the order of the person indices,
    `dropped` counts those of this split with fewer than `min_images` pictures, `nobody` the samples of no person.
    `left_out` counts the files that belong to no sample with a picture, such as compressed ones; the log names them.
    `damaged` has what is wrong with shards that are cut off or overwritten: what lies before the damage is used, and
    `broken` lists them beside the pictures that could not be read.

    Raises:
        InputError: shards are missing, hold no pictures or name no people, or fewer than two are usable in this split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CropOptions):
        """Options of `webdataset`."""

        shards: str = option(help="tar files: a folder, a file, or a pattern with {000..127}, {a,b}, *")
        image_size: int = option(256, "side of the pictures, pixels; the centre square is resized to it", at_least=8)
        person: str = option("auto", "who is shown: cls, json:KEY, folder (of the sample's name), or auto")
        min_images: int = option(2, "people with fewer pictures are left out", at_least=1)
        split: Literal["train", "held_out", "all"] = option("train", "which part of the people")
        held_out: float = option(0.1, "part of the people that is held out", at_least=0, below=1)
        mirror: bool = option(False, "append the mirrored copy of every picture")
        index: str | None = option("auto", "file that remembers what the shards hold; auto: in the cache; none: none")
        workers: int = option(0, "processes that list shards; 0: one for each core", at_least=0)

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.person not in ("auto", "cls", "folder") and not re.fullmatch("json:.+", self.person):
                raise ConfigError(
                    f"option 'person' of WebDataset cannot be {self.person!r}", "auto, cls, folder, json:KEY"
                )

    def __init__(self, config: Config) -> None:
        paths = shard_files(config.shards)
        person = choose_person(paths) if config.person == "auto" else config.person
        found = list_shards(paths, person, config.index, config.workers)
        self.damaged = {path: why for path, why in zip(paths, found.damage, strict=True) if why}
        for path, why in self.damaged.items():
            _log.warning("left out the rest of a shard: %s; %s", path, why)
        self.left_out = found.left_out
        if self.left_out:
            _log.warning("left out of %s: %s", config.shards, counted(self.left_out))
        self.nobody = int(found.nobody.sum())
        everybody, person_of, counts = np.unique(found.person, return_inverse=True, return_counts=True)
        names = [found.people[int(number)] for number in everybody]
        by_name = sorted(range(len(names)), key=names.__getitem__)
        chosen = [i for i in by_name if in_split(names[i], config.split, config.held_out)]
        kept = [i for i in chosen if counts[i] >= config.min_images]
        self.dropped = len(chosen) - len(kept)
        if len(kept) < 2:
            raise InputError(
                f"the shards {config.shards!r} have too few people: {len(kept)} in the split {config.split!r}",
                f"people with pictures: {len(names)}, of them in the split: {len(chosen)}; told by: {person}",
                f"left out for fewer than {config.min_images} pictures: {self.dropped}",
                f"samples of nobody: {self.nobody}; shards with damage: {len(self.damaged)} of {len(paths)}",
                hint="at least 2 people are needed; `person=` says where a sample tells whom it shows",
            )
        self.names = [names[i] for i in kept]
        rank = np.full(len(names), -1)
        rank[kept] = np.arange(len(kept))
        people = rank[person_of]
        order = np.argsort(people, kind="stable")[np.count_nonzero(people < 0) :]
        small = len(people) <= np.iinfo(np.int32).max
        files, labels = torch.from_numpy(order.astype(np.int32) if small else order), torch.from_numpy(people[order])
        super().__init__(ShardStore(paths, found), files, labels, config.image_size, config.mirror, config.face_crop)
        self.config = config

    @property
    def broken(self) -> list[Path]:
        """Shards with damage, and the pictures that could not be read so far, each as shard/member."""
        return [*self.damaged, *super().broken]


class ShardStore:
    """The pictures of shards. A process opens the shards that it reads; the places are shared.

    Args:
        paths: of the shards.
        found: what they hold.
    """

    def __init__(self, paths: Sequence[Path], found: Found) -> None:
        self.root = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
        self.paths = [path.absolute() for path in paths]
        self.names = found.names
        self.starts, self.offsets, self.sizes = map(torch.from_numpy, (found.starts, found.offsets, found.sizes))
        self._handles: OrderedDict[int, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": OrderedDict()}

    def __del__(self) -> None:
        for handle in self.__dict__.get("_handles", {}).values():
            os.close(handle)

    def name(self, number: int) -> str:
        """Shard and member of picture `number`."""
        return f"{self.paths[self._shard(number)].relative_to(self.root)}/{self.names[number]}"

    def read(self, number: int) -> bytes:
        """The bytes of picture `number`.

        Raises:
            InputError: the shard is gone or was cut off since it was listed.
        """
        shard, offset, size = self._shard(number), int(self.offsets[number]), int(self.sizes[number])
        try:
            data = os.pread(self._handle(shard), size, offset)
        except OSError as cause:
            raise InputError(f"cannot read {str(self.paths[shard])!r}", cause.strerror or str(cause)) from cause
        if len(data) < size:
            raise InputError(f"{str(self.paths[shard])!r} ends before its member {self.names[number]!r}")
        return data

    def _shard(self, number: int) -> int:
        return int(torch.searchsorted(self.starts, number, right=True)) - 1

    def _handle(self, shard: int) -> int:
        if shard not in self._handles:
            if len(self._handles) >= _OPEN:
                os.close(self._handles.popitem(last=False)[1])
            self._handles[shard] = os.open(self.paths[shard], os.O_RDONLY)
        self._handles.move_to_end(shard)
        return self._handles[shard]
