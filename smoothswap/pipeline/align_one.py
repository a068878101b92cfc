"""One photograph of an alignment run, in a worker process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from smoothswap.core.errors import InputError, WorkError
from smoothswap.pipeline.face import Face, Landmarker, build_landmarker
from smoothswap.pipeline.face_template import WhichFace, choose_face
from smoothswap.pipeline.ffhq import Square, crop, ffhq_square
from smoothswap.pipeline.manifest import Entry
from smoothswap.pipeline.picture import Picture


@dataclass(frozen=True, kw_only=True)
class Job:
    """A photograph to do: its path below the folder, the stem of its crops, and its size and time of change."""

    source: str
    stem: str
    stamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all jobs of a run share; fields as the arguments of `align_folder`."""

    folder: Path
    out: Path
    size: int
    face: str
    suffix: str
    landmarker: str
    landmarker_options: Mapping[str, Any]
    min_side: float
    max_megapixels: float


_state: tuple[Setup, Landmarker] | None = None  # of this process


def start(setup: Setup) -> None:
    """Prepare this process: the landmarker is built once."""
    global _state
    cv2.setNumThreads(1)  # the processes are the parallelism
    _state = setup, build_landmarker(setup.landmarker, **setup.landmarker_options)


def run(job: Job) -> Entry:
    """Write the crops of one photograph.

    Returns:
        The entry for the manifest; a photograph that gives no crop is an entry with its reason, not an error.

    Raises:
        WorkError: the crops cannot be written.
    """
    if _state is None:
        raise WorkError("this process was not prepared for aligning", hint="call start(setup) first")
    setup, finder = _state
    try:
        crops = _crops(job, setup, finder)
    except InputError as error:
        reason = error.what.replace(repr(str(setup.folder / job.source)), "the file")
        return Entry(source=job.source, stamp=job.stamp, failure=reason)
    return Entry(source=job.source, stamp=job.stamp, crops=tuple(crops))


def _crops(job: Job, setup: Setup, finder: Landmarker) -> list[Mapping[str, Any]]:
    pixels = Picture.read(setup.folder / job.source, max_megapixels=setup.max_megapixels).as_uint8()
    faces = finder.find(pixels)
    if not faces:
        raise InputError("no face found")
    if setup.face != "all":
        faces = [choose_face(faces, cast(WhichFace, setup.face), *pixels.shape[:2])]
    squares = [(face, ffhq_square(face)) for face in faces]
    squares = [(face, square) for face, square in squares if square.side >= setup.min_side]
    if not squares:
        raise InputError(f"no face large enough (min_side {setup.min_side:g} px)")
    written: list[Mapping[str, Any]] = []
    try:
        for index, found in enumerate(squares):
            written.append(_write(job, setup, pixels, index, *found))
    except InputError:
        for crop_ in written:  # a photograph has all of its crops or none
            (setup.out / crop_["file"]).unlink(missing_ok=True)
        raise
    return written


def _write(job: Job, setup: Setup, pixels: Any, index: int, face: Face, square: Square) -> Mapping[str, Any]:
    aligned = (crop(pixels, square, setup.size) * 255).round().astype(np.uint8)
    file = f"{job.stem}{f'-face{index}' if index else ''}.{setup.suffix}"
    path = setup.out / file
    try:
        with contextlib.suppress(FileNotFoundError):
            path.lstat()
    except OSError as cause:  # the name is too long, or holds what this file system does not take
        raise InputError(f"no crop can have its name here: {cause.strerror}") from cause
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise WorkError(f"could not make the folder {str(path.parent)!r}", str(cause)) from cause
    try:
        Picture(pixels=aligned, name=file).write(path, overwrite=True)
    except InputError as cause:
        if path.is_dir():
            raise
        # It is of the output folder, not of this photograph.
        raise WorkError(cause.what, *cause.facts, hint=cause.hint) from cause
    return {
        "file": file,
        "box": [round(value, 2) for value in face.box],
        "score": round(face.score, 4),
        "side": round(square.side, 2),
        "points": ((square.to_crop(face.points, setup.size) + 0.5) / setup.size).round(5).tolist(),
    }
