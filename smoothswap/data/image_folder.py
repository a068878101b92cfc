"""A folder of pictures without names, such as FFHQ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from smoothswap.core.config import option
from smoothswap.core.errors import InputError
from smoothswap.core.face_crop import CropOptions
from smoothswap.core.files import as_path
from smoothswap.data.folder import FolderStore
from smoothswap.data.listing import list_pictures
from smoothswap.data.pictures import PictureDataset
from smoothswap.data.split import in_split


class ImageFolder(PictureDataset):
    """Pictures anywhere below a folder, each taken as its own person (FFHQ's layout, or any other).

    Which pictures are held out is decided by the hash of each file's path in the folder without its suffix: it stays
    the same when files are added, moved elsewhere as a whole, or converted to another format. `left_out` counts the
    files that are no pictures, by suffix; the log names them.

    Raises:
        InputError: the folder is missing, or has fewer than two pictures in this split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CropOptions):
        """Options of `image_folder`."""

        folder: str = option(help="folder with pictures, at any depth")
        image_size: int = option(256, "side of the pictures, pixels; the centre square is resized to it", at_least=8)
        split: Literal["train", "held_out", "all"] = option("train", "which part of the pictures")
        held_out: float = option(0.1, "part of the pictures that is held out", at_least=0, below=1)
        mirror: bool = option(False, "append the mirrored copy of every picture")
        index: str | None = option("auto", "file that remembers what the folder holds; auto: in the cache; none: none")

    def __init__(self, config: Config) -> None:
        root = as_path(config.folder, "the folder")
        listing = list_pictures(root, config.index)
        listing.report(root)
        self.left_out = listing.left_out
        store = FolderStore(root, listing)
        found = len(store.names)
        inside = (i for i in range(found) if in_split(_stem(store.name(i)), config.split, config.held_out))
        files = torch.arange(found) if config.split == "all" else torch.tensor(list(inside), dtype=torch.int64)
        if len(files) < 2:
            raise InputError(
                f"the folder {str(root)!r} has too few pictures: {len(files)} in the split {config.split!r}",
                f"pictures found at any depth: {found}, held out: {config.held_out:.0%}",
                hint="at least 2 pictures of different people are needed, such as .jpg or .png files",
            )
        super().__init__(store, files, torch.arange(len(files)), config.image_size, config.mirror, config.face_crop)
        self.config = config


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
