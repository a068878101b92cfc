"""A folder with one sub-folder for each person, such as VGGFace2."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from smoothswap.core.config import Options, option
from smoothswap.core.errors import InputError
from smoothswap.data.folder import FolderDataset, find_pictures, in_split


class IdentityFolder(FolderDataset):
    """Pictures of known people: every sub-folder is a person, with pictures at any depth (VGGFace2's layout).

    `names` are the sub-folders in the order of the person indices. `dropped` counts the people of this split left
    out for having fewer than `min_images` pictures. Which people are held out is decided by the hash of the
    sub-folder's name. Pictures that lie directly in the folder belong to nobody and are not used.

    Raises:
        InputError: the folder is missing, or has fewer than two usable people in this split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of `identity_folder`."""

        folder: str = option(help="folder with one sub-folder for each person")
        image_size: int = option(256, "side of the pictures, pixels; the centre square is resized to it", at_least=8)
        min_images: int = option(2, "people with fewer pictures are left out", at_least=1)
        split: Literal["train", "held_out", "all"] = option("train", "which part of the people")
        held_out: float = option(0.1, "part of the people that is held out", at_least=0, below=1)
        mirror: bool = option(False, "append the mirrored copy of every picture")

    def __init__(self, config: Config) -> None:
        root = Path(config.folder).expanduser()
        found = [name for name in find_pictures(root) if "/" in name]
        by_person = {person: list(files) for person, files in itertools.groupby(sorted(found), key=_person)}
        chosen = {
            person: files
            for person, files in sorted(by_person.items())
            if in_split(person, config.split, config.held_out)
        }
        kept = {person: files for person, files in chosen.items() if len(files) >= config.min_images}
        self.dropped = len(chosen) - len(kept)
        if len(kept) < 2:
            raise InputError(
                f"the folder {str(root)!r} has too few people: {len(kept)} in the split {config.split!r}",
                f"sub-folders with pictures: {len(by_person)}, of them in the split: {len(chosen)}",
                f"left out for fewer than {config.min_images} pictures: {self.dropped}",
                hint="at least 2 people are needed: one sub-folder for each, with their pictures in it",
            )
        self.names = list(kept)
        files = [name for person in kept for name in kept[person]]
        people = [number for number, person in enumerate(kept) for _ in kept[person]]
        super().__init__(root, files, people, config.image_size, config.mirror)
        self.config = config


def _person(name: str) -> str:
    return name.partition("/")[0]
