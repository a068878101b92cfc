"""Identity vectors of a folder of images, into one file.

Images are aligned crops as they are (what `align` writes and training reads), or photographs whose face is found and
cropped first. An image that cannot be used is left out and listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smoothswap.core.errors import InputError
from smoothswap.core.files import as_path, check_writable, json_bytes, write_aside
from smoothswap.core.picture_files import said_left_out
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.crop_points import crop_points
from smoothswap.pipeline.embedding import CropRule, check_batches, declared_input, embed_images
from smoothswap.pipeline.face import build_landmarker
from smoothswap.pipeline.face_template import WhichFace

if TYPE_CHECKING:
    from torch import nn

SUFFIX = ".npz"


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What `embed_folder` did.

    Args:
        out: the file.
        pictures: pictures found.
        dim: D, length of the vectors.
        people: different people among the vectors; 0 where no picture lies in a sub-folder.
        failures: pictures without a vector, and why.
        unread: sub-folders that could not be read, and why.
        left_out: files that are no pictures: their number by suffix.
    """

    out: Path
    pictures: int
    dim: int
    people: int
    failures: Mapping[str, str]
    unread: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        whom = f" of {self.people} people" if self.people else ""
        lines = [f"{self.out}: {self.pictures - len(self.failures)} vectors of {self.dim} numbers{whom}"]
        if self.failures:
            lines.append(f"{len(self.failures)} of {self.pictures} pictures were left out:")
            for reason, count in Counter(self.failures.values()).most_common():
                example = next(name for name, why in self.failures.items() if why == reason)
                lines.append(f"  {count} × {reason} (such as {example})")
            lines.append("all of them: `skipped` and `reasons` in the file")
        lines += said_left_out(self.unread, self.left_out)
        return "\n".join(lines)


@takes_numpy_scalars
def embed_folder(
    folder: Path | str,
    out: Path | str,
    *,
    embedder: nn.Module,
    facts: Mapping[str, Any] | None = None,
    align: bool = False,
    face: WhichFace = "largest",
    landmarker: str = "yunet",
    batch: int = 64,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """Embed every picture of a folder and its sub-folders, and write the vectors to an .npz file, whole or not at all.

    The file holds, for N pictures in the order of their paths: `vectors` float32 [N, D] of unit length, `paths` [N]
    relative to the folder, `people` [N] (the first sub-folder, or empty), and `embedder`, a JSON text with `facts`, the
    crop, size, range and colour order that the embedder expects, and `aligned`, whether faces were found and cropped
    here. `skipped` and `reasons` list the pictures that were left out. It loads without pickles.

    Args:
        folder: pictures at any depth; hidden files are passed over.
        out: the file; replaced where it exists.
        embedder: gives unit vectors [B, D] and declares in `expects` which crop it takes.
        facts: what else to write down about the embedder, plain JSON values.
        align: find a face in each picture and cut it out by its own points, as the embedder expects it; otherwise
            pictures are taken as FFHQ crops, of any size, by their centre square. Where `align_folder` wrote them, the
            points that it noted are used; else the template's fixed window of an FFHQ crop.
        face: with `align`, which face of a picture: the `largest`, or the one in its `middle`.
        landmarker: component that finds the faces.
        batch: pictures that go through the embedder together.
        workers: processes that read pictures; 0 reads in this one, None takes one for each core, 8 at most, where
            there are many pictures. A script that lets it start processes needs `if __name__ == "__main__":`.
        progress: called with the number of finished and of all pictures.

    Raises:
        InputError: no such folder, no pictures in it, none that can be used, or an `out` that cannot be.
        ArgumentError: a batch or a number of workers that cannot be, or an embedder that does not declare its crop.
        WorkError: the disk is full, or a worker died.
    """
    from smoothswap.data.folder import FolderStore
    from smoothswap.data.listing import list_pictures

    folder, out = as_path(folder, "the folder"), as_path(out, "the file to write")
    expects = declared_input(embedder)
    _check(out)
    check_batches(batch, workers)
    build_landmarker(landmarker)  # a wrong name is to be told here, not from another process
    listing = list_pictures(folder)
    store = FolderStore(folder, listing)
    found = sorted(store.name(number) for number in range(len(listing.files)))
    if not found:
        raise InputError(
            f"no pictures in {str(folder)!r}",
            "looked in all sub-folders",
            *said_left_out(listing.unread, listing.left_out),
            hint="name another folder",
        )
    rule = CropRule(landmarker=landmarker if align else None, face=face, points={} if align else crop_points(folder))
    vectors: list[npt.NDArray[np.float32]] = []
    kept: list[str] = []
    failures: dict[str, str] = {}
    for some in embed_images(embedder, folder, found, rule, batch=batch, workers=workers):
        kept += some.names
        failures |= dict(some.failures)
        if some.names:
            vectors.append(some.vectors)
        if progress is not None:
            progress(len(kept) + len(failures), len(found))
    if not kept:
        first = found[0]
        raise InputError(
            f"none of the {len(found)} pictures in {str(folder)!r} gives a vector",
            f"for example {first!r}: {failures[first]}",
            hint="check the files" + (", or leave out --align where they are face crops already" if align else ""),
        )
    people = [name.partition("/")[0] if "/" in name else "" for name in kept]
    about = {
        **(facts or {}), "crop": expects.template, "size": expects.size, "value_range": list(expects.value_range),
        "channel_order": expects.channel_order, "aligned": align,
    }  # fmt: skip
    stacked = np.concatenate(vectors)
    _write(
        out,
        vectors=stacked,
        paths=np.array(kept),
        people=np.array(people),
        embedder=np.array(json_bytes(about).decode()),
        skipped=np.array(list(failures), dtype=np.str_),
        reasons=np.array(list(failures.values()), dtype=np.str_),
    )
    return EmbedReport(
        out=out,
        pictures=len(found),
        dim=stacked.shape[1],
        people=len(set(people) - {""}),
        failures=failures,
        unread=listing.unread,
        left_out=listing.left_out,
    )


def _check(out: Path) -> None:
    if out.suffix != SUFFIX:
        raise InputError(f"the vectors cannot be written to {str(out)!r}", hint=f"give a name that ends in {SUFFIX}")
    check_writable(out)


def _write(out: Path, **arrays: npt.NDArray[Any]) -> None:
    with write_aside(out) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
