"""Picture files below a folder, as a store of pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from smoothswap.data.decode import read_file
from smoothswap.data.listing import Listing


class FolderStore:
    """The pictures of a listing.

    Args:
        root: the folder.
        listing: what lies below it.
    """

    def __init__(self, root: Path, listing: Listing) -> None:
        self.root = root
        self.folders, self.names = listing.folders, listing.files
        self.starts = torch.from_numpy(listing.starts)

    def name(self, number: int) -> str:
        """Path of picture `number` relative to the folder, with `/`."""
        folder = self.folders[int(torch.searchsorted(self.starts, number, right=True)) - 1]
        return f"{folder}/{self.names[number]}" if folder else self.names[number]

    def read(self, number: int) -> bytes:
        """The bytes of picture `number`.

        Raises:
            InputError: the file is gone or may not be read.
        """
        return read_file(self.root / self.name(number))
