"""Verification of an embedder on a list of image pairs: images are read and embedded, scored, reported, drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from smoothswap.core.errors import InputError
from smoothswap.core.files import as_path, file_sha256, output_folder, write_json
from smoothswap.core.interfaces import FaceInput
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.crop_points import crop_points
from smoothswap.evaluation.pair_figures import ShownPair, draw_pairs, draw_roc
from smoothswap.evaluation.pair_list import PairList, read_pairs
from smoothswap.evaluation.pair_verification import PairVerification, listed_scores, verify_listed, worst_pairs
from smoothswap.pipeline.embedding import CropRule, declared_input, embed_images, read_crops
from smoothswap.pipeline.face_template import WhichFace
from smoothswap.pipeline.vector_store import Stamp, VectorStore

if TYPE_CHECKING:
    from torch import Tensor, nn

REPORT, ROC, WORST, VECTORS = "verification.json", "roc.png", "worst_pairs.png", "vectors.jsonl"
NO_FACE = "a pair with an image that gives no vector counts as decided wrongly: its score is -1 or 1"
ACCURACY = (
    "for each fold the share of right decisions at the threshold that decides most pairs of the other folds rightly; "
    "mean over the folds and its standard error"
)


@dataclass(frozen=True, kw_only=True)
class PairReport:
    """What `verify_pairs` measured; also in `verification.json`.

    Attributes:
        out: folder with the report and figures.
        figures: accuracy, AUC, rates.
        protocol: everything that decides the figures, plain JSON values.
        listed: pairs in the list.
        missing: images that the list names and the folder does not have; their pairs are left out.
        failures: images without a vector, and why.
        notes: what was left out for want of a package.
    """

    out: Path
    figures: PairVerification
    protocol: Mapping[str, Any]
    listed: int
    missing: tuple[str, ...]
    failures: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            **self.figures.to_dict(), "protocol": dict(self.protocol), "listed": self.listed,
            "missing": list(self.missing), "failures": dict(self.failures),
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [str(self.figures)]
        left_out = self.listed - self.figures.same - self.figures.different
        if self.missing:
            lines.append(f"{left_out} of {self.listed} pairs left out: {_some(self.missing)} missing")
        if self.failures:
            reasons = sorted(set(self.failures.values()))
            lines.append(
                f"{_some(list(self.failures))} without a vector ({', '.join(reasons)}): pairs counted as wrong"
            )
        lines += self.notes
        return "\n".join([*lines, f"{self.out / REPORT}"])


@takes_numpy_scalars
def verify_pairs(
    pairs: Path | str,
    folder: Path | str,
    out: Path | str,
    *,
    embedder: nn.Module,
    facts: Mapping[str, Any],
    align: bool = True,
    face: WhichFace = "middle",
    landmarker: str = "yunet",
    mirrored: bool = False,
    missing_limit: float = 0.01,
    worst: int = 8,
    batch: int = 64,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PairReport:
    """Measure an embedder on listed pairs of images, and write report and figures to a folder.

    The folder gets `verification.json`, `roc.png`, `worst_pairs.png` and `vectors.jsonl`. The last is written while
    images are embedded: called again, only images that are new or have changed are.

    Args:
        pairs: the list, see `smoothswap.evaluation.read_pairs`.
        folder: the images.
        out: folder for what is written; made where it is missing.
        embedder: gives unit vectors [B, D] and declares in `expects` which crop it takes.
        facts: what identifies the embedder (name, `weights_fingerprint`), plain JSON values.
        align: find a face in each image and cut it out by its own points; otherwise images are FFHQ crops.
        face: with `align`, which face of an image: the `largest`, or the one in its `middle`.
        landmarker: component that finds the faces.
        mirrored: add the vector of the mirrored crop.
        missing_limit: share of the pairs, 0 to 1, that may name missing images.
        worst: pairs of each kind to show.
        batch: images that go through the embedder together.
        workers: processes that read images, see `smoothswap.pipeline.embed_folder`.
        progress: called with the number of finished and of all images.

    Raises:
        InputError: a list, folder or output that cannot be used, or no image with a vector.
        ArgumentError: an embedder that does not declare its crop, or batches that cannot be.
        WorkError: the disk is full, or a worker died.
    """
    pairs, out = as_path(pairs, "the list of pairs"), as_path(out, "the folder to write")
    folder = as_path(folder, "the folder of images")
    listed = read_pairs(pairs, folder, missing_limit=missing_limit)
    expects = declared_input(embedder)
    rule = CropRule(landmarker=landmarker if align else None, face=face, points={} if align else crop_points(folder))
    settings = {
        "embedder": dict(facts), "template": expects.template, "size": expects.size, "mirrored": mirrored,
        "aligned_by": landmarker if align else "the files are FFHQ crops", "face": face if align else "the crop's",
    }  # fmt: skip
    output_folder(out, REPORT, ROC, WORST, VECTORS)
    store = VectorStore(out / VECTORS, {**settings, "folder": str(folder.resolve())})
    with store:
        _embed_missing(
            store, embedder, folder, listed.images, rule, mirrored=mirrored, batch=batch, workers=workers,
            progress=progress,
        )  # fmt: skip
    scores, same, folds = _scores(listed, store)
    figures = verify_listed(scores, same, folds)
    report = PairReport(
        out=out,
        figures=figures,
        protocol={
            "pairs": pairs.name, "pairs_file_sha256": file_sha256(pairs),
            "layout": listed.layout, **settings, "score": "cosine", "accuracy": ACCURACY, "no_face": NO_FACE,
        },
        listed=listed.listed,
        missing=listed.missing,
        failures={name: reason for name in listed.images if (reason := store.reason(name))},
        notes=_draw(out, folder, listed, scores, same, figures, expects, rule, worst),
    )  # fmt: skip
    write_json(out / REPORT, report.to_dict())
    return report


def _embed_missing(
    store: VectorStore,
    embedder: nn.Module,
    folder: Path,
    names: list[str],
    rule: CropRule,
    *,
    mirrored: bool,
    batch: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    stamps = {name: _stamp(folder / name) for name in names}
    todo = [name for name in names if not store.is_done(name, stamps[name])]
    done = len(names) - len(todo)
    for some in embed_images(embedder, folder, todo, rule, mirrored=mirrored, batch=batch, workers=workers):
        store.add(
            [(name, stamps[name], vector) for name, vector in zip(some.names, some.vectors, strict=True)],
            [(name, stamps[name], reason) for name, reason in some.failures],
        )
        done += len(some.names) + len(some.failures)
        if progress is not None:
            progress(done, len(names))


def _stamp(path: Path) -> Stamp:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _scores(listed: PairList, store: VectorStore) -> tuple[Tensor, Tensor, Tensor]:
    """Scores [P], same [P] and folds [P] of the pairs."""
    vectors = {name: vector for name in listed.images if (vector := store.vector(name)) is not None}
    if not vectors:
        example = listed.images[0]
        raise InputError("no image gives a vector", f"for example {example!r}: {store.reason(example)}")
    rows = {name: row for row, name in enumerate(vectors)}
    z = torch.from_numpy(np.stack(list(vectors.values())))
    first = torch.tensor([rows.get(pair.first, -1) for pair in listed.pairs])
    second = torch.tensor([rows.get(pair.second, -1) for pair in listed.pairs])
    same = torch.tensor([pair.same for pair in listed.pairs])
    scores = listed_scores(z, first.clamp_min(0), second.clamp_min(0))
    wrong = torch.where(same, -1.0, 1.0).double()
    scores = torch.where((first < 0) | (second < 0), wrong, scores)
    return scores, same, torch.tensor([pair.fold for pair in listed.pairs])


def _draw(
    out: Path,
    folder: Path,
    listed: PairList,
    scores: Tensor,
    same: Tensor,
    figures: PairVerification,
    expects: FaceInput,
    rule: CropRule,
    worst: int,
) -> tuple[str, ...]:
    """Write the figures; returns what could not be drawn, in words."""
    try:
        draw_roc(out / ROC, scores, same, figures, f"{figures.same + figures.different} pairs")
    except InputError as reason:
        return (f"without {ROC} and {WORST}: {reason.what}; {reason.hint}",)
    chosen = [place for places in worst_pairs(scores, same, worst) for place in places]
    names = [name for index in chosen for name in (listed.pairs[index].first, listed.pairs[index].second)]
    crops = [_to_uint8(crop) for crop in read_crops(folder, names, expects, rule)]
    shown = [
        ShownPair(
            images=(crops[2 * at], crops[2 * at + 1]),
            names=(names[2 * at], names[2 * at + 1]),
            score=float(scores[index]),
            same=bool(same[index]),
        )
        for at, index in enumerate(chosen)
    ]
    if shown:
        draw_pairs(out / WORST, shown)
    return ()


def _to_uint8(crop: np.ndarray[Any, np.dtype[np.float32]] | None) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    return None if crop is None else ((crop.transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def _some(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} image{'s' if len(names) != 1 else ''} ({shown})"
