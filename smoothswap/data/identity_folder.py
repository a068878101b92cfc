"""A folder with one sub-folder for each person, such as VGGFace2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from smoothswap.core.config import option
from smoothswap.core.errors import InputError
from smoothswap.core.face_crop import CropOptions
from smoothswap.core.files import as_path
from smoothswap.data.folder import FolderStore
from smoothswap.data.index_file import Array
from smoothswap.data.listing import Listing, list_pictures
from smoothswap.data.pictures import PictureDataset, ranges
from smoothswap.data.split import in_split


class IdentityFolder(PictureDataset):
    """Pictures of known people: every sub-folder is a person, with pictures at any depth (VGGFace2's layout).

    `names` are the sub-folders in the order of the person indices. `dropped` counts the people of this split left
    out for having fewer than `min_images` pictures. Which people are held out is decided by the hash of the
    sub-folder's name. Pictures that lie directly in the folder belong to nobody and are not used.
    `left_out` counts the files that are no pictures, by suffix; the log names them.

    Raises:
        InputError: the folder is missing, or has fewer than two usable people in this split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CropOptions):
        """Options of `identity_folder`."""

        folder: str = option(help="folder with one sub-folder for each person")
        image_size: int = option(256, "side of the pictures, pixels; the centre square is resized to it", at_least=8)
        min_images: int = option(2, "people with fewer pictures are left out", at_least=1)
        split: Literal["train", "held_out", "all"] = option("train", "which part of the people")
        held_out: float = option(0.1, "part of the people that is held out", at_least=0, below=1)
        mirror: bool = option(False, "append the mirrored copy of every picture")
        index: str | None = option("auto", "file that remembers what the folder holds; auto: in the cache; none: none")

    def __init__(self, config: Config) -> None:
        root = as_path(config.folder, "the folder")
        listing = list_pictures(root, config.index)
        listing.report(root)
        self.left_out = listing.left_out
        everybody, firsts, counts = _people(listing)
        inside = [in_split(person, config.split, config.held_out) for person in everybody]
        chosen = np.array(inside, dtype=bool)
        kept = np.flatnonzero(chosen & (counts >= config.min_images))
        self.dropped = int(chosen.sum()) - len(kept)
        if len(kept) < 2:
            raise InputError(
                f"the folder {str(root)!r} has too few people: {len(kept)} in the split {config.split!r}",
                f"sub-folders with pictures: {len(everybody)}, of them in the split: {chosen.sum()}",
                f"left out for fewer than {config.min_images} pictures: {self.dropped}",
                hint="at least 2 people are needed: one sub-folder for each, with their pictures in it",
            )
        self.names = [everybody[person] for person in kept]
        people = torch.repeat_interleave(torch.arange(len(kept)), torch.from_numpy(counts[kept]))
        files = ranges(firsts[kept], counts[kept])
        super().__init__(FolderStore(root, listing), files, people, config.image_size, config.mirror, config.face_crop)
        self.config = config


def _people(listing: Listing) -> tuple[list[str], Array, Array]:
    """Everybody with a picture: name, first file and number of files; theirs lie one after another."""
    tops = [name.partition("/")[0] for name in listing.folders]
    begins = [i for i in range(1, len(tops)) if tops[i] != tops[i - 1]]
    firsts = listing.starts[begins]
    counts = np.diff(np.append(firsts, listing.starts[-1]))
    some = np.flatnonzero(counts)
    return [tops[begins[i]] for i in some], firsts[some], counts[some]
