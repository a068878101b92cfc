"""Identity vectors of image files, batch by batch: read and cropped in worker processes, embedded in this one.

B: images in a batch, S: side of the embedder's crop, D: length of the vectors.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from smoothswap.core.allocator import keep_freed_memory
from smoothswap.core.errors import ArgumentError, InputError, WorkError
from smoothswap.core.interfaces import FaceInput
from smoothswap.core.workers import FreshProcesses, cores, fresh_processes, may_start_processes
from smoothswap.pipeline.face import Face, Landmarker, Points, build_landmarker
from smoothswap.pipeline.face_template import WhichFace, choose_face, cut_face
from smoothswap.pipeline.picture import Picture

if TYPE_CHECKING:
    from torch import nn

Crop = npt.NDArray[np.float32]
_FEW = 200  # images


@dataclass(frozen=True, kw_only=True)
class CropRule:
    """Which part of an image file an embedder sees.

    Args:
        landmarker: component that finds the faces, each then cropped by its own points; None where the files are FFHQ
            crops already.
        face: which face counts where an image shows several.
        points: five points [5, 2] of FFHQ crops by their path, as shares of the crop's side, where they are known.
            These crops are cut by their own points, the others by the template's fixed window.
    """

    landmarker: str | None = None
    face: WhichFace = "largest"
    points: Mapping[str, Points] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class EmbeddedBatch:
    """Some of the images, in order.

    Attributes:
        names: the images that have a vector.
        vectors: their unit vectors [B, D].
        failures: images without a vector, and why.
    """

    names: list[str]
    vectors: npt.NDArray[np.float32]
    failures: list[tuple[str, str]]


def embed_images(
    embedder: nn.Module,
    folder: Path,
    names: Sequence[str],
    rule: CropRule,
    *,
    mirrored: bool = False,
    batch: int = 64,
    workers: int | None = None,
) -> Iterator[EmbeddedBatch]:
    """Embed image files.

    Args:
        embedder: gives unit vectors [B, D] and declares in `expects` which crop it takes.
        folder: where the images lie.
        names: their paths below it.
        rule: which part of an image is the face.
        mirrored: add the vector of the mirrored crop, so that a vector is of both.
        batch: images that go through the embedder together.
        workers: processes that read images; 0 reads in this one, None takes one for each core, 8 at most, where there
            are many images.

    Raises:
        ArgumentError: a batch or a number of workers that cannot be, or an embedder that does not declare its crop.
        UnknownNameError: no such landmarker.
        WorkError: a worker died, or the embedder gave NaN or infinite values.
    """
    reader = _Reader(folder, names, declared_input(embedder), rule)
    check_batches(batch, workers)
    if rule.landmarker is not None:
        build_landmarker(rule.landmarker)  # a wrong name is to be told here, not from another process
    for places, crops, reasons in _read(reader, batch, _workers(len(names)) if workers is None else workers):
        yield EmbeddedBatch(
            names=[names[place] for place in places],
            vectors=_vectors(embedder, crops, mirrored=mirrored) if crops else np.empty((0, 0), np.float32),
            failures=[(names[place], reason) for place, reason in reasons],
        )


def read_crops(folder: Path, names: Sequence[str], expects: FaceInput, rule: CropRule) -> list[Crop | None]:
    """What an embedder sees of some images: float32 [3, S, S] in [-1, 1], None for an image that gives no crop."""
    reader = _Reader(folder, names, expects, rule)
    crops = (reader[place][1] for place in range(len(names)))
    return [None if isinstance(crop, str) else crop for crop in crops]


def declared_input(embedder: nn.Module) -> FaceInput:
    """The crop that an embedder declares.

    Raises:
        ArgumentError: it declares none, or one that is not known.
    """
    from smoothswap.modules.face_input import WINDOWS

    expects = getattr(embedder, "expects", None)
    if not isinstance(expects, FaceInput) or expects.template not in WINDOWS:
        raise ArgumentError("the embedder does not declare a face crop that is known", f"expects: {expects!r}")
    return expects


def check_batches(batch: int, workers: int | None) -> None:
    """Refuse what `embed_images` cannot do.

    Raises:
        ArgumentError: as there.
    """
    if batch < 1 or (workers is not None and workers < 0):
        raise ArgumentError(f"cannot embed batches of {batch} images with {workers} workers", "allowed: ≥ 1, ≥ 0")


def _workers(images: int) -> int:
    """None where this process has read everything before another one has started."""
    return min(cores(), 8) if cores() > 1 and images > _FEW else 0


class _Reader:
    """Images by index, as crops float32 [3, S, S] in [-1, 1], or the reason why there is none; also in a worker."""

    def __init__(self, folder: Path, names: Sequence[str], expects: FaceInput, rule: CropRule) -> None:
        self.folder, self.names, self.expects, self.rule = folder, names, expects, rule
        self._finder: Landmarker | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[int, Crop | str]:
        path = self.folder / self.names[index]
        try:
            if self.rule.landmarker is not None:
                return index, self._found(path, self.rule.landmarker)
            points = self.rule.points.get(self.names[index])
            return index, self._windowed(path) if points is None else self._pointed(path, points)
        except InputError as error:
            return index, error.what.replace(repr(str(path)), "the file")

    def _found(self, path: Path, landmarker: str) -> Crop:
        if self._finder is None:
            cv2.setNumThreads(1)  # the processes are the parallelism
            self._finder = build_landmarker(landmarker)
        pixels = Picture.read(path).as_uint8()
        faces = self._finder.find(pixels)
        if not faces:
            raise InputError("no face found")
        face = choose_face(faces, self.rule.face, *pixels.shape[:2])
        return _channels_first(cut_face(pixels, face, self.expects))

    def _pointed(self, path: Path, points: Points) -> Crop:
        from smoothswap.data.decode import read_rgb
        from smoothswap.data.square import centre_square

        if self.expects.template == "ffhq":  # the whole crop
            return self._windowed(path)
        pixels = read_rgb(path)
        side = min(pixels.shape[:2])
        square = np.ascontiguousarray(centre_square(pixels, side).numpy().transpose(1, 2, 0))
        face = Face(box=(-0.5, -0.5, side - 0.5, side - 0.5), points=points * side - 0.5, score=1.0)
        return _channels_first(cut_face(square, face, self.expects))

    def _windowed(self, path: Path) -> Crop:
        import torch

        from smoothswap.data.decode import read_rgb
        from smoothswap.data.square import centre_square
        from smoothswap.modules.face_input import ffhq_side, to_template

        square = centre_square(read_rgb(path), ffhq_side(self.expects)).numpy()
        images = torch.from_numpy(square.astype(np.float32) / np.float32(127.5) - np.float32(1))[None]
        return to_template(images, self.expects)[0].numpy()


def _channels_first(face: Crop) -> Crop:
    return np.ascontiguousarray(face.transpose(2, 0, 1) * 2 - 1)


_Batch = tuple[list[int], list[Crop], list[tuple[int, str]]]


def _collate(items: list[tuple[int, Any]]) -> _Batch:
    good = [(place, face) for place, face in items if not isinstance(face, str)]
    reasons = [(place, reason) for place, reason in items if isinstance(reason, str)]
    return [place for place, _ in good], [face for _, face in good], reasons


def _start(_worker: int) -> None:
    keep_freed_memory()  # a detector's buffers are of the same sizes for every image


def _read(reader: _Reader, batch: int, workers: int) -> Iterator[_Batch]:
    """Batches in order of the names: indices and crops of the readable, indices and reasons of the others."""
    workers = min(workers, -(-len(reader) // batch)) if may_start_processes() else 0
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.filterwarnings("ignore", message=".*max number of worker.*")  # the number is the caller's wish
        try:
            context = stack.enter_context(fresh_processes()) if workers else None
            yield from _loader(reader, batch, workers, context)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise WorkError(
                "a process that reads images died",
                str(error).splitlines()[0],
                hint="often the memory is full: use fewer workers or smaller batches",
            ) from None


def _loader(reader: _Reader, batch: int, workers: int, context: FreshProcesses | None) -> Any:
    from torch.utils.data import DataLoader

    return DataLoader(
        reader,  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_start,
        multiprocessing_context=context,
    )


def _vectors(embedder: nn.Module, crops: list[Crop], *, mirrored: bool) -> npt.NDArray[np.float32]:
    """Unit vectors [B, D] of crops [3, S, S]."""
    import torch

    from smoothswap.modules.face_input import face_values
    from smoothswap.modules.outputs import check_vectors

    like = next(embedder.parameters(), torch.empty(0, dtype=torch.float32))
    images = torch.from_numpy(np.stack(crops)).to(like.device)
    with torch.inference_mode():
        faces = face_values(images, embedder.expects).to(like.dtype)  # type: ignore[arg-type]
        z = check_vectors(embedder(faces), faces, embedder).float()
        if mirrored:
            z = z + embedder(faces.flip(3)).float()
    if not bool(torch.isfinite(z).all()):
        raise WorkError("the embedder gave NaN or infinite values", hint="the weights are damaged; train again")
    return np.asarray(torch.nn.functional.normalize(z, dim=1).cpu().numpy())
