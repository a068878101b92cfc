"""Swaps pairs of photographs of a folder and measures them: `smoothswap evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.core.face_crop import declared_face_crop
from smoothswap.core.files import as_path, output_folder, write_aside, write_json
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.evaluation import fidelity, nearer_to_source, similarity
from smoothswap.evaluation.estimates import Share
from smoothswap.evaluation.photograph_report import (
    BACKGROUND,
    LANDMARKS,
    SHARPNESS,
    PhotographReport,
    head_ellipse,
    landmark_error,
)
from smoothswap.evaluation.protocol import component_name
from smoothswap.evaluation.sharpness import detail
from smoothswap.modules.face_input import face_values
from smoothswap.modules.weights import weights_fingerprint
from smoothswap.pipeline import Face, Landmarker, Picture, crop, cut_face, ffhq_square, swap_pictures
from smoothswap.pipeline.embedding import declared_input
from smoothswap.pipeline.face import build_landmarker
from smoothswap.pipeline.face_template import crop_square
from smoothswap.pipeline.refine import default_steps
from smoothswap.pipeline.swap import STOP_SIMILARITY

if TYPE_CHECKING:
    from torch import Tensor, nn

REPORT, SHEET = "photographs.json", "photographs.jpg"
_SIDE = 256  # pixels of the FFHQ crops in which background and detail are measured, and that the sheet shows


@dataclass(frozen=True, kw_only=True)
class _Swap:
    """One pair: what was measured, and its pictures, uint8 [S, S, 3] FFHQ crops of source, target and swap."""

    nearer: dict[str, float]
    to_source: dict[str, float]
    to_target: dict[str, float]
    between: dict[str, float]
    landmarks: float
    background: float
    reconstruction: float
    detail: float
    target_detail: float
    shown: tuple[npt.NDArray[np.uint8], ...] = field(repr=False)


@takes_numpy_scalars
def swap_photographs(
    folder: Path | str,
    out: Path | str,
    *,
    generator: nn.Module,
    embedder: nn.Module,
    judges: Mapping[str, nn.Module],
    pairs: int = 64,
    seed: int = 0,
    landmarker: str = "yunet",
    keep_detail: bool = True,
    refine: int | None = None,
    stop_similarity: float = STOP_SIMILARITY,
    shown: int = 24,
    progress: Callable[[int, int], None] | None = None,
) -> PhotographReport:
    """Swap pairs of photographs, from picture to picture as `swap_pictures` does, and measure the result.

    OUT gets `photographs.json` and `photographs.jpg`, a sheet of the first pairs: source, target, swap.

    Args:
        folder: photographs at any depth, FFHQ crops or not; the first sub-folder is the person, and a photograph
            outside of one is a person of its own.
        out: folder for the report; made where it is missing.
        generator: the model to measure.
        embedder: gives it the identities.
        judges: embedders that judge identity, by name; those that trained the generator are marked in the protocol.
        pairs: pairs of different people.
        seed: which pairs.
        landmarker: component that finds the faces; with one that gives 68 landmarks their distance is measured.
        keep_detail: as `swap_pictures` has it, like the next two.
        refine: steps by which identities are refined.
        stop_similarity: cosine at which they stop.
        shown: pairs on the sheet.
        progress: called with the number of finished and of all pairs.

    Raises:
        InputError: no such folder, fewer than two people, or no pair that can be swapped.
        ArgumentError: no pairs wanted, or models that do not belong together.
    """
    from smoothswap.data.folder import FolderStore
    from smoothswap.data.listing import list_pictures

    folder, out = as_path(folder, "the folder"), as_path(out, "the folder to write")
    if pairs < 1:
        raise ArgumentError(f"pairs cannot be {pairs}", "allowed: ≥ 1")
    listing = list_pictures(folder)
    listing.report(folder)
    store = FolderStore(folder, listing)
    names = sorted(store.name(number) for number in range(len(listing.files)))
    chosen = choose_pairs(names, pairs, seed)
    if not chosen:
        raise InputError(f"{str(folder)!r} has no photographs of two people", hint="name a folder with more of them")
    output_folder(out, REPORT, SHEET)
    finder = build_landmarker(landmarker)
    steps = default_steps(generator, embedder) if refine is None else refine
    how = {"keep_detail": keep_detail, "refine": steps, "stop_similarity": stop_similarity}
    swaps: list[_Swap] = []
    failures: dict[str, str] = {}
    for done, (source, target) in enumerate(chosen, 1):
        try:
            swaps.append(_swap(folder / source, folder / target, generator, embedder, judges, finder, how))
        except InputError as error:
            failures[f"{source} into {target}"] = error.what
        if progress is not None:
            progress(done, len(chosen))
    if not swaps:
        raise InputError("no pair could be swapped", *(f"{pair}: {why}" for pair, why in list(failures.items())[:3]))
    asked = {"pairs": pairs, "seed": seed, "landmarker": landmarker, **how}
    report = _report(swaps, failures, _protocol(folder, generator, embedder, judges, asked))
    write_json(out / REPORT, report.to_dict())
    if shown > 0:
        _write_sheet(out / SHEET, [swap.shown for swap in swaps[:shown]])
    return report


def choose_pairs(names: Sequence[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Draw pairs of photographs of two people: (source, target), every photograph once as a target before one is twice.

    Args:
        names: paths; the first folder of each is the person.
        count: pairs; fewer where there is only one person.
        seed: which.
    """
    random = np.random.default_rng(seed)
    person = [name.partition("/")[0] if "/" in name else name for name in names]
    if len(set(person)) < 2:
        return []
    chosen: list[tuple[str, str]] = []
    while len(chosen) < count:
        for target in random.permutation(len(names)).tolist():
            source = int(random.integers(len(names)))
            while person[source] == person[target]:
                source = int(random.integers(len(names)))
            chosen.append((names[source], names[target]))
            if len(chosen) == count:
                break
    return chosen


def _swap(
    source_file: Path,
    target_file: Path,
    generator: nn.Module,
    embedder: nn.Module,
    judges: Mapping[str, nn.Module],
    finder: Landmarker,
    how: Mapping[str, Any],
) -> _Swap:
    source, target = Picture.read(source_file), Picture.read(target_file)
    models: Any = {"generator": generator, "embedder": embedder, "landmarker": finder, **how}
    swapped = swap_pictures(source, target, face=0, **models)
    own = swap_pictures(target, target, face=0, **models)
    # A swap keeps the pose, so the target's points tell where its face is, also where no detector would find one.
    face = swapped.faces[0]
    person = swapped.source_face
    if person is None:
        raise InputError("no face in the source")
    after, before = swapped.picture.as_uint8(), target.as_uint8()
    showing = [(source.as_uint8(), person), (before, face), (after, face)]
    likeness = {name: _likeness(judge, showing) for name, judge in judges.items()}
    square = ffhq_square(face)
    crops = [crop(pixels, square, _SIDE) for pixels in (before, after, own.picture.as_uint8())]
    old, new, again = (torch.from_numpy(one).permute(2, 0, 1)[None] * 2 - 1 for one in crops)
    box, head = _masks(crop_square(face, declared_face_crop(generator)), square)
    background = fidelity.psnr(new, old, (box & ~head)[None, None].float())
    return _Swap(
        nearer={name: float(nearer) for name, (nearer, *_) in likeness.items()},
        to_source={name: values[1] for name, values in likeness.items()},
        to_target={name: values[2] for name, values in likeness.items()},
        between={name: values[3] for name, values in likeness.items()},
        landmarks=_landmarks(finder, after, face),
        background=float(background),
        reconstruction=float(fidelity.psnr(again, old, box[None, None].float())),
        detail=float(detail(new, (box & head)[None, None].float())),
        target_detail=float(detail(old, (box & head)[None, None].float())),
        shown=(
            _to_uint8(crop(source.as_uint8(), ffhq_square(person), _SIDE)), _to_uint8(crops[0]), _to_uint8(crops[1]),
        ),
    )  # fmt: skip


def _likeness(
    judge: nn.Module, showing: Sequence[tuple[npt.NDArray[np.uint8], Face]]
) -> tuple[bool, float, float, float]:
    """Whether the swap is nearer to the source, and the cosines swap-source, swap-target, source-target.

    Args:
        judge: an embedder.
        showing: source, target and swap, [H, W, 3] RGB, each with its face.
    """
    expects = declared_input(judge)
    faces = np.stack([cut_face(pixels, face, expects) for pixels, face in showing])
    images = torch.from_numpy(faces).permute(0, 3, 1, 2) * 2 - 1
    with torch.inference_mode():
        z: Tensor = judge(face_values(images, expects))
    z_source, z_target, z_swap = z[:1].float(), z[1:2].float(), z[2:].float()
    return (
        bool(nearer_to_source(z_swap, z_source, z_target)),
        float(similarity(z_swap, z_source)),
        float(similarity(z_swap, z_target)),
        float(similarity(z_source, z_target)),
    )


def _landmarks(finder: Landmarker, after: npt.NDArray[np.uint8], face: Face) -> float:
    """The landmark error; NaN where there are no landmarks, or the face is not found any more."""
    if face.landmarks is None:
        return float("nan")
    centre = face.points.mean(axis=0)
    near = [one for one in finder.find(after) if one.landmarks is not None]
    again = min(near, key=lambda one: float(np.hypot(*(one.points.mean(axis=0) - centre))), default=None)
    if again is None or again.landmarks is None:
        return float("nan")
    return landmark_error(again.landmarks, face.landmarks)


def _masks(box: Any, square: Any) -> tuple[Tensor, Tensor]:
    """In the FFHQ crop of `_SIDE` pixels: the pixels of the swapped box, and those of the head. bool [S, S]."""
    steps = (torch.arange(_SIDE, dtype=torch.float64) + 0.5) / _SIDE
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack([x, y], dim=-1)
    corners = torch.from_numpy((square.to_crop(box.corners, _SIDE) + 0.5) / _SIDE)
    left, top = corners.amin(0).tolist()
    right, bottom = corners.amax(0).tolist()
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    return inside, head_ellipse(places)


def _report(swaps: Sequence[_Swap], failures: dict[str, str], protocol: dict[str, Any]) -> PhotographReport:
    def by_judge(name: str) -> dict[str, Tensor]:
        return {judge: _stacked([getattr(swap, name)[judge] for swap in swaps]) for judge in swaps[0].nearer}

    landmarks = _stacked([swap.landmarks for swap in swaps])
    return PhotographReport(
        nearer=by_judge("nearer"),
        to_source=by_judge("to_source"),
        to_target=by_judge("to_target"),
        between=by_judge("between"),
        landmarks=None if bool(landmarks.isnan().all()) else landmarks,
        background=_stacked([swap.background for swap in swaps]),
        reconstruction=_stacked([swap.reconstruction for swap in swaps]),
        sharpness=Share(_stacked([swap.detail for swap in swaps]), _stacked([swap.target_detail for swap in swaps])),
        protocol=protocol,
        failures=failures,
    )


def _stacked(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _protocol(
    folder: Path,
    generator: nn.Module,
    embedder: nn.Module,
    judges: Mapping[str, nn.Module],
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    trained_by = weights_fingerprint(embedder)
    fingerprints = {name: weights_fingerprint(judge) for name, judge in judges.items()}
    return {
        "folder": folder.name, **asked,
        "generator": component_name(generator), "generator_weights_fingerprint": weights_fingerprint(generator),
        "crop": str(declared_face_crop(generator)), "size": int(generator.image_size),  # type: ignore[arg-type]
        "embedder": component_name(embedder), "embedder_weights_fingerprint": trained_by,
        "judges_weights_fingerprint": fingerprints,
        "judges_that_gave_the_identities": [name for name, one in fingerprints.items() if one == trained_by],
        "background": BACKGROUND, "landmarks": LANDMARKS, "sharpness": SHARPNESS,
    }  # fmt: skip


def _to_uint8(face: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return (face * 255).round().clip(0, 255).astype(np.uint8)


def _write_sheet(path: Path, rows: Sequence[tuple[npt.NDArray[np.uint8], ...]]) -> None:
    """Two pairs a row, each as source, target, swap."""
    gap, wide = 8, 24
    blank = tuple(np.full_like(picture, 255) for picture in rows[0])
    filled = [*rows, blank] if len(rows) % 2 else list(rows)
    high = _SIDE + gap
    sheet = np.full((high * (len(filled) // 2) - gap, 6 * _SIDE + 4 * gap + wide, 3), 255, np.uint8)
    for number, pictures in enumerate(filled):
        top, left = high * (number // 2), (number % 2) * (3 * _SIDE + 2 * gap + wide)
        for place, picture in enumerate(pictures):
            start = left + place * (_SIDE + gap)
            sheet[top : top + _SIDE, start : start + _SIDE] = picture
    with write_aside(path) as aside:
        Image.fromarray(sheet).save(aside, quality=92)
