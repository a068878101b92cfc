"""Preparing a data set: every photograph of a folder becomes one or more FFHQ crops.

Sub-folders stay, so that a folder of people stays one. Photographs are worked on in parallel processes; each crop is
written aside and renamed, and a manifest remembers what is done, so that a stopped run continues where it was.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.files import as_path, output_folder, write_json
from smoothswap.core.picture_files import SUFFIXES, said_left_out
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.core.workers import cores, may_start_processes, process_pool, results
from smoothswap.data.crop_points import MANIFEST
from smoothswap.data.origin import REPORT, origin_files
from smoothswap.pipeline import align_one
from smoothswap.pipeline.align_one import Job
from smoothswap.pipeline.manifest import Entry, Manifest
from smoothswap.pipeline.picture import MAX_MEGAPIXELS

if TYPE_CHECKING:
    from smoothswap.data.listing import Listing

MAX_SIZE = 8192
_FURTHER_FACE = re.compile(r"-face\d+$")


@dataclass(frozen=True, kw_only=True)
class AlignReport:
    """What an alignment run did; also in `report.json` beside the crops.

    Args:
        folder: where the photographs are.
        out: where the crops are.
        pictures: photographs found.
        crops: crops now in `out` that belong to them.
        skipped: photographs that an earlier run had finished.
        failures: photographs without a crop, and why.
        seconds: how long it took.
        origin: files in `folder` that say where the photographs came from, with their `file_sha256`.
        unread: sub-folders that could not be read, and why.
        left_out: files that are no pictures: their number by suffix.
    """

    folder: Path
    out: Path
    pictures: int
    crops: int
    skipped: int
    failures: Mapping[str, str]
    seconds: float
    origin: Mapping[str, str]
    unread: Mapping[str, str]
    left_out: Mapping[str, int]

    def __str__(self) -> str:
        made = f"{self.crops} crops of {self.pictures - len(self.failures)} photographs in {self.out}"
        lines = [f"{made} ({self.seconds:.1f} s, {self.skipped} photographs were done before)"]
        if self.origin:
            lines.append(f"where they came from says {', '.join(self.origin)} in {self.folder}")
        if self.failures:
            lines.append(f"{len(self.failures)} of {self.pictures} photographs gave no crop:")
            reasons = Counter(self.failures.values())
            for reason, count in reasons.most_common():
                example = next(source for source, why in self.failures.items() if why == reason)
                lines.append(f"  {count} × {reason} (such as {example})")
            lines.append(f"all of them: {self.out / REPORT}")
        lines += said_left_out(self.unread, self.left_out)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "folder": str(self.folder),
            "out": str(self.out),
            "pictures": self.pictures,
            "crops": self.crops,
            "skipped": self.skipped,
            "failures": dict(self.failures),
            "seconds": round(self.seconds, 3),
            "origin_file_sha256": dict(self.origin),
            "unread": dict(self.unread),
            "left_out": dict(self.left_out),
        }


@takes_numpy_scalars
def align_folder(
    folder: Path | str,
    out: Path | str,
    *,
    size: int = 256,
    workers: int | None = None,
    face: Literal["largest", "middle", "all"] = "largest",
    suffix: Literal["png", "jpg"] = "png",
    landmarker: str = "yunet",
    landmarker_options: Mapping[str, Any] | None = None,
    min_side: float = 0.0,
    max_megapixels: float = MAX_MEGAPIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> AlignReport:
    """Crop the faces of all photographs of a folder and its sub-folders, the FFHQ way.

    Called again, it does only what is missing or what has changed. With more than one worker it starts processes, so
    a script that calls it needs the usual `if __name__ == "__main__":`. Where this process may start none, as inside a
    worker of a `multiprocessing.Pool`, it works in this one.

    Args:
        folder: photographs, in any depth, by their suffixes (`core.picture_files`); other files and sub-folders that
            may not be read are counted in the report, hidden ones passed over. Links to folders are followed.
        out: folder for the crops; made where it is missing.
        size: side of the crops in pixels, 8 to `MAX_SIZE`.
        workers: processes; one for each core where left out, and 1 works in this process.
        face: `"largest"` or `"middle"` for one crop a photograph, `"all"` for one for each face (`name.png`,
            `name-face1.png`, …).
        suffix: format of the crops.
        landmarker: component that finds the faces.
        landmarker_options: its options.
        min_side: faces whose square has a side of fewer pixels in the photograph are left out.
        max_megapixels: larger pictures are refused before they are decoded.
        progress: called with the number of finished and of all photographs.

    Raises:
        InputError: no such folder, no photographs in it, or an `out` that holds something else or may not be written.
        WorkError: the disk is full or a worker died. What is done stays done.
    """
    from smoothswap.data.listing import list_pictures

    started = time.monotonic()
    folder, out = as_path(folder, "the folder"), as_path(out, "the folder to write")
    _check(folder, size, workers, suffix, face)
    if out.exists() and out.samefile(folder):
        raise InputError(f"{str(out)!r} is the folder of photographs itself", hint="name another folder for the crops")
    listing = list_pictures(folder, skip=out)
    jobs = _jobs(folder, listing)
    settings: dict[str, Any] = {
        "size": size, "face": face, "suffix": suffix, "landmarker": landmarker,
        "landmarker_options": dict(landmarker_options or {}), "min_side": min_side,
    }  # fmt: skip
    manifest = Manifest(out, json.loads(json.dumps(settings)))
    output_folder(out, MANIFEST, REPORT)
    todo = [job for job in jobs if not manifest.is_done(job.source, job.stamp)]
    setup = align_one.Setup(folder=folder, out=out, max_megapixels=max_megapixels, **settings)
    with manifest, contextlib.closing(_work(todo, setup, workers or cores())) as work:
        for done, entry in enumerate(work, len(jobs) - len(todo) + 1):
            before = manifest.entries.get(entry.source)
            manifest.add(entry)
            for file in set(before.files if before else ()).difference(entry.files):
                (out / file).unlink(missing_ok=True)  # a crop of the photograph as it was
            if progress is not None:
                progress(done, len(jobs))
    manifest.write()
    entries = [manifest.entries[job.source] for job in jobs]
    report = AlignReport(
        folder=folder,
        out=out,
        pictures=len(jobs),
        crops=sum(len(entry.crops) for entry in entries),
        skipped=len(jobs) - len(todo),
        failures={entry.source: entry.failure for entry in entries if entry.failure},
        seconds=time.monotonic() - started,
        origin=origin_files(folder),
        unread=listing.unread,
        left_out=listing.left_out,
    )
    write_json(out / REPORT, report.to_dict())
    return report


def _check(folder: Path, size: int, workers: int | None, suffix: str, face: str) -> None:
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}", hint="name the folder with the photographs")
    if not 8 <= size <= MAX_SIZE:
        raise InputError(f"size cannot be {size}", hint=f"give the side of the crops in pixels, from 8 to {MAX_SIZE:,}")
    if workers is not None and workers < 1:
        raise InputError(f"workers cannot be {workers}", hint="give 1 or more, or leave it out")
    if suffix not in ("png", "jpg"):
        raise InputError(f"suffix cannot be {suffix!r}", hint="give png or jpg")
    if face not in ("largest", "middle", "all"):
        raise InputError(f"face cannot be {face!r}", hint="give largest, middle or all")


def _jobs(folder: Path, listing: Listing) -> list[Job]:
    """The photographs in order of their paths, each with the name of its crops."""
    from smoothswap.data.folder import FolderStore

    store = FolderStore(folder, listing)
    found = [PurePosixPath(store.name(number)) for number in range(len(listing.files))]
    if not found:
        raise InputError(
            f"no photographs in {str(folder)!r}",
            f"looked for {' '.join(SUFFIXES)}, in all sub-folders",
            *said_left_out(listing.unread, listing.left_out),
        )
    stems = Counter(source.with_suffix("") for source in found)
    jobs = []
    for source in found:
        stem = source.with_suffix("")
        if stems[stem] > 1 or _FURTHER_FACE.search(stem.name):
            # a.jpg and a.png would meet in one crop, as would the second face of a.jpg and a-face1.jpg
            stem = stem.with_name(f"{stem.name}_{source.suffix[1:]}")
        jobs.append(Job(source=str(source), stem=str(stem), stamp=_stamp(folder / source)))
    return jobs


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:  # a link that leads nowhere, or a file that is gone: found unreadable when it is read
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def _work(jobs: list[Job], setup: align_one.Setup, workers: int) -> Generator[Entry]:
    """Entries as they are finished."""
    if workers == 1 or len(jobs) < 2 or not may_start_processes():
        align_one.start(setup)
        yield from map(align_one.run, jobs)
        return
    try:
        with process_pool(min(workers, len(jobs)), align_one.start, (setup,)) as pool:
            yield from (entry for _, entry in results(pool, align_one.run, jobs, 4 * workers))
    except BrokenProcessPool as cause:
        raise WorkError(
            "a worker process died while aligning",
            "often the memory is full, since each worker holds a decoded photograph",
            hint="start again with fewer workers; what is done stays done",
        ) from cause
