"""Identity vectors of a folder of pictures, into one file.

Pictures are aligned crops as they are (what `align` writes and training reads), or photographs whose largest face is
found and cropped first. They are read in worker processes; a picture that cannot be used is left out and listed.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from smoothswap.core.errors import ArgumentError, InputError, WorkError
from smoothswap.core.files import write_aside
from smoothswap.core.interfaces import FaceInput
from smoothswap.pipeline.face import Landmarker, build_landmarker
from smoothswap.pipeline.ffhq import crop, ffhq_square
from smoothswap.pipeline.picture import Picture

if TYPE_CHECKING:
    from torch import nn

SUFFIX = ".npz"
_FEW = 200  # pictures


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What `embed_folder` did.

    Args:
        out: the file.
        pictures: pictures found.
        dim: D, length of the vectors.
        people: different people among the vectors; 0 where no picture lies in a sub-folder.
        failures: pictures without a vector, and why.
    """

    out: Path
    pictures: int
    dim: int
    people: int
    failures: Mapping[str, str]

    def __str__(self) -> str:
        whom = f" of {self.people} people" if self.people else ""
        lines = [f"{self.out}: {self.pictures - len(self.failures)} vectors of {self.dim} numbers{whom}"]
        if self.failures:
            lines.append(f"{len(self.failures)} of {self.pictures} pictures were left out:")
            for reason, count in Counter(self.failures.values()).most_common():
                example = next(name for name, why in self.failures.items() if why == reason)
                lines.append(f"  {count} × {reason} (such as {example})")
            lines.append("all of them: `skipped` and `reasons` in the file")
        return "\n".join(lines)


def embed_folder(
    folder: Path | str,
    out: Path | str,
    *,
    embedder: nn.Module,
    facts: Mapping[str, Any] | None = None,
    align: bool = False,
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
        align: find the largest face of each picture and crop it the FFHQ way; otherwise pictures are taken as FFHQ
            crops, of any size, by their centre square.
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

    folder, out = Path(folder).expanduser(), Path(out)
    size = _crop_size(embedder)
    _check(out, batch, workers)
    build_landmarker(landmarker)  # a wrong name is to be told here, not from another process
    listing = list_pictures(folder)
    store = FolderStore(folder, listing)
    found = sorted(store.name(number) for number in range(len(listing.files)))
    if not found:
        raise InputError(f"no pictures in {str(folder)!r}", "looked in all sub-folders", hint="name another folder")
    reader = _Reader(folder, found, size, landmarker if align else None)
    vectors: list[npt.NDArray[np.float32]] = []
    kept: list[str] = []
    failures: dict[str, str] = {}
    done = 0
    for places, crops, reasons in _read(reader, batch, _workers(len(found)) if workers is None else workers):
        kept += [found[place] for place in places]
        failures |= {found[place]: reason for place, reason in reasons}
        if places:
            vectors.append(_vectors(embedder, crops))
        done += len(places) + len(reasons)
        if progress is not None:
            progress(done, len(found))
    if not kept:
        first = found[0]
        raise InputError(
            f"none of the {len(found)} pictures in {str(folder)!r} gives a vector",
            f"for example {first!r}: {failures[first]}",
            hint="check the files" + (", or leave out --align where they are face crops already" if align else ""),
        )
    people = [name.partition("/")[0] if "/" in name else "" for name in kept]
    expects: FaceInput = embedder.expects  # type: ignore[assignment]
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
        embedder=np.array(json.dumps(about, ensure_ascii=False)),
        skipped=np.array(list(failures), dtype=np.str_),
        reasons=np.array(list(failures.values()), dtype=np.str_),
    )
    return EmbedReport(
        out=out,
        pictures=len(found),
        dim=stacked.shape[1],
        people=len(set(people) - {""}),
        failures=failures,
    )


def _crop_size(embedder: nn.Module) -> int:
    """Side of the FFHQ crop to read, so that the embedder's own crop of it has about the size that it expects."""
    from smoothswap.modules.face_input import WINDOWS

    expects = getattr(embedder, "expects", None)
    if not isinstance(expects, FaceInput) or expects.template not in WINDOWS:
        raise ArgumentError("the embedder does not declare a face crop that is known", f"expects: {expects!r}")
    left, top, right, bottom = WINDOWS[expects.template]
    return math.ceil(expects.size / min(right - left, bottom - top))


def _check(out: Path, batch: int, workers: int | None) -> None:
    if out.suffix != SUFFIX:
        raise InputError(f"the vectors cannot be written to {str(out)!r}", hint=f"give a name that ends in {SUFFIX}")
    if out.is_dir() or not out.parent.is_dir():
        what = "it is a folder" if out.is_dir() else f"there is no folder {str(out.parent)!r}"
        raise InputError(f"the vectors cannot be written to {str(out)!r}", what, hint="name a file in a folder")
    if batch < 1 or (workers is not None and workers < 0):
        raise ArgumentError(f"cannot embed batches of {batch} pictures with {workers} workers", "allowed: ≥ 1, ≥ 0")


def _workers(pictures: int) -> int:
    """None where this process has read everything before another one has started."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8) if cores > 1 and pictures > _FEW else 0


class _Reader:
    """Pictures by index, as crops float32 [3, S, S] in [-1, 1], or the reason why there is none; also in a worker."""

    def __init__(self, folder: Path, names: Sequence[str], size: int, landmarker: str | None) -> None:
        self.folder, self.names, self.size, self.landmarker = folder, names, size, landmarker
        self._finder: Landmarker | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[int, npt.NDArray[np.float32] | str]:
        path = self.folder / self.names[index]
        try:
            return index, self._crop(path)
        except InputError as error:
            return index, error.what.replace(repr(str(path)), "the file")

    def _crop(self, path: Path) -> npt.NDArray[np.float32]:
        from smoothswap.data.decode import read_rgb
        from smoothswap.data.square import centre_square

        if self.landmarker is None:
            square = centre_square(read_rgb(path), self.size).numpy()
            return square.astype(np.float32) / np.float32(127.5) - np.float32(1)
        if self._finder is None:
            cv2.setNumThreads(1)  # the processes are the parallelism
            self._finder = build_landmarker(self.landmarker)
        pixels = Picture.read(path).as_uint8()
        faces = self._finder.find(pixels)
        if not faces:
            raise InputError("no face found")
        face = crop(pixels, ffhq_square(faces[0]), self.size)
        return np.ascontiguousarray(face.transpose(2, 0, 1) * 2 - 1)


_Batch = tuple[list[int], list[npt.NDArray[np.float32]], list[tuple[int, str]]]


def _collate(items: list[tuple[int, Any]]) -> _Batch:
    good = [(place, face) for place, face in items if not isinstance(face, str)]
    reasons = [(place, reason) for place, reason in items if isinstance(reason, str)]
    return [place for place, _ in good], [face for _, face in good], reasons


def _read(reader: _Reader, batch: int, workers: int) -> Iterator[_Batch]:
    """Batches in order of the names: indices and crops of the readable, indices and reasons of the others."""
    from torch.utils.data import DataLoader

    workers = min(workers, -(-len(reader) // batch))
    loader: Any = DataLoader(
        reader,  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=workers,
        collate_fn=_collate,
        # Fresh processes: forking one that runs OpenCV's or torch's threads may deadlock.
        multiprocessing_context="spawn" if workers else None,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*max number of worker.*")  # the number is the caller's wish
        try:
            yield from loader
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise WorkError(
                "a process that reads pictures died",
                str(error).splitlines()[0],
                hint="often the memory is full: use fewer workers or smaller batches",
            ) from None


def _vectors(embedder: nn.Module, crops: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Unit vectors [B, D] of crops [3, S, S]."""
    import torch

    from smoothswap.modules.face_input import to_face_input

    like = next(embedder.parameters(), torch.empty(0))
    images = torch.from_numpy(np.stack(crops)).to(like.device)
    with torch.inference_mode():
        z = embedder(to_face_input(images, embedder.expects).to(like.dtype)).float()  # type: ignore[arg-type]
    if not bool(torch.isfinite(z).all()):
        raise WorkError("the embedder gave values that are no numbers", hint="the weights are damaged; train again")
    return np.asarray(torch.nn.functional.normalize(z, dim=1).cpu().numpy())


def _write(out: Path, **arrays: npt.NDArray[Any]) -> None:
    with write_aside(out) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
