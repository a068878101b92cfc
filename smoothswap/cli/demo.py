"""`smoothswap demo`: swap held-out people, compare with their true swaps, and show it all on a page."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

import smoothswap
from smoothswap import api
from smoothswap.cli.console import console
from smoothswap.cli.demo_figures import print_figures
from smoothswap.cli.demo_models import Models, load_models
from smoothswap.cli.demo_page import COLUMNS, Page, Photograph, Shown, render_page
from smoothswap.cli.demo_pairs import SPLITS, draw_pairs, kinds_of_pairs
from smoothswap.cli.demo_verdicts import ALIKE, limits, reached
from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.files import as_path, output_folder, write_aside
from smoothswap.core.progress import counting
from smoothswap.data.faceworld import Factors, render
from smoothswap.evaluation import Scene, SwapReport, swap_report

FIRST, WORST = 12, 4  # pairs on the page
PAGE, REPORT, FOLDERS = "index.html", "report.json", ("pairs", "photograph")
ASTRONAUT = Path(smoothswap.__file__).resolve().parent.parent / "examples" / "photos" / "astronaut.jpg"


def run_demo(
    out: Path,
    *,
    pairs: int = 64,
    seed: int = 0,
    model: Path | None = None,
    photograph: Path | bool = True,
) -> bool:
    """Swap pairs of people that no training saw, measure, print, and write `out/index.html` and `out/report.json`.

    Args:
        out: folder to write; made where it is missing, reused where it holds an earlier demo.
        pairs: number of pairs of people drawn at random, half of held-out people and half of held-out groups. Half as
            many more, whose source and target share their colouring, are measured beside them and held to criteria of
            their own: only shape tells such people apart, which the judge itself cannot always.
        seed: which pairs.
        model: folder with generator.safetensors and embedder.safetensors (and judge.safetensors, where it is not the
            shipped judge that is to judge); the shipped model of rendered heads where left out.
        photograph: picture to swap a face into; True for the astronaut of a checkout of the project, False for none.

    Returns:
        Whether every criterion holds.

    Raises:
        InputError: a folder that holds something else, too few pairs, a missing model or photograph.
        NoFaceError: no face in the photograph.
        WorkError: the folder cannot be written.
    """
    began = time.perf_counter()
    if pairs < 1:
        raise InputError(f"the demo needs at least 1 pair, got {pairs}", hint="give --pairs 64")
    out = as_path(out, "the folder to write")
    if isinstance(photograph, Path) and not os.path.isfile(photograph):  # noqa: PTH113 (takes any name)
        raise InputError(f"no photograph {str(photograph)!r}")
    models = load_models(model)
    _prepare(out)
    terminal = console()
    source, target = draw_pairs(pairs, seed)
    report, pictures = _measure(models, source, target, seed)
    kinds = kinds_of_pairs(pairs)
    parts = {kind: report.select(numbers) for kind, numbers in kinds.items() if numbers}
    parts[ALIKE], _ = _measure(models, *draw_pairs((pairs + 1) // 2, seed, "same"), seed)

    worst = sorted(range(pairs), key=lambda n: round(float(report.gain_face[n]), 6))[: min(WORST, pairs // 4)]
    shown = {n: _write_pair(out, n, kinds, pictures[n], report) for n in (*range(min(FIRST, pairs)), *worst)}
    photo = _swap_photograph(out, source.select([0]), model, photograph)

    _write_report(out / REPORT, report, parts, photo)
    page = Page(
        report=report,
        parts=parts,
        first=[shown[n] for n in range(min(FIRST, pairs))],
        worst=[shown[n] for n in worst],
        photograph=photo,
        facts=_facts(report, models, began),
    )
    with write_aside(out / PAGE) as aside:
        aside.write_text(render_page(page), encoding="utf-8")
    _remove_stale(out, shown.values(), photo)
    print_figures(terminal, report, parts)
    _print_outcome(terminal, photo, photograph, out / PAGE, time.perf_counter() - began)
    return reached(report, parts)


def _prepare(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{str(out)!r} is a file; the demo writes a folder", hint="give another --out")
    try:
        names = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.exists() else set()
        # A page without its report, or anything else, is somebody's own.
        if names - {PAGE, REPORT, *FOLDERS} or (PAGE in names and REPORT not in names):
            raise InputError(
                f"{str(out)!r} is not empty and holds no earlier demo",
                hint="give --out a new folder, or empty this one",
            )
    except OSError as cause:
        raise WorkError(f"cannot read the folder {str(out)!r}", str(cause)) from cause
    output_folder(out, PAGE, REPORT)
    for folder in FOLDERS:
        output_folder(out / folder, REPORT)


def _measure(
    models: Models, source: Factors, target: Factors, seed: int
) -> tuple[SwapReport, list[tuple[Tensor, ...]]]:
    """The report, and of each pair the pictures in the order of `COLUMNS`, each [3, S, S] in [-1, 1]."""
    pictures: list[tuple[Tensor, ...]] = []
    with counting("drawing, swapping, measuring", len(source), "pairs") as count:

        def watch(scene: Scene, swapped: Tensor) -> None:
            pictures.extend(zip(scene.source, scene.target, swapped, scene.truth, strict=True))
            count.advance(len(scene))

        split = " and ".join(SPLITS.values())
        report = swap_report(
            models.generator, models.embedder, models.judge, source, target, 8,
            further_judges=models.further_judges, split=split, seed=seed, watch=watch,
        )  # fmt: skip
    return replace(report, warnings=(*report.warnings, *models.missing)), pictures


def _write_pair(
    out: Path, n: int, kinds: dict[str, list[int]], pictures: Sequence[Tensor], report: SwapReport
) -> Shown:
    files = tuple(f"pairs/{n + 1:03d}_{column}.png" for column in COLUMNS)
    for file, picture in zip(files, pictures, strict=True):
        _write_png(out / file, picture)
    return Shown(
        number=n + 1,
        kinds=tuple(kind for kind, numbers in kinds.items() if n in numbers),
        files=(files[0], files[1], files[2], files[3]),
        to_source=float(report.swap.likeness.to_source[n]),
        to_target=float(report.swap.likeness.to_target[n]),
        gain_face=float(report.gain_face[n]),
    )


def _write_png(path: Path, picture: Tensor) -> None:
    """Write [3, S, S] in [-1, 1]."""
    pixels = picture.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    with write_aside(path) as aside:
        Image.fromarray(pixels.cpu().numpy()).save(aside)


def _swap_photograph(out: Path, source: Factors, model: Path | None, photograph: Path | bool) -> Photograph | None:
    """Swap a rendered face onto a photograph, both as files; None where there is no photograph."""
    chosen = ASTRONAUT if isinstance(photograph, bool) else photograph
    if photograph is False or not chosen.is_file():
        return None
    folder = out / "photograph"
    _write_png(folder / "source.png", render(source, size=256).image[0])
    copy, result = folder / f"target{chosen.suffix.lower()}", folder / "swap.png"
    with write_aside(copy) as aside:
        shutil.copyfile(chosen, aside)
    began = time.perf_counter()
    api.swap(folder / "source.png", copy, result, model=model, overwrite=True, aligned_source=True)
    seconds = time.perf_counter() - began
    return Photograph("photograph/source.png", f"photograph/{copy.name}", "photograph/swap.png", seconds)


def _remove_stale(out: Path, shown: Iterable[Shown], photo: Photograph | None) -> None:
    """Remove pictures of an earlier demo that the new page does not show."""
    kept = {out / file for pair in shown for file in pair.files}
    kept |= {out / file for file in (photo.source, photo.target, photo.swap)} if photo else set()
    for old in (*(out / "pairs").glob("*_*.png"), *(out / "photograph").glob("*.*")):
        if old not in kept:
            old.unlink()


def _write_report(path: Path, report: SwapReport, parts: dict[str, SwapReport], photo: Photograph | None) -> None:
    kept = ("passed", "criteria", "figures")
    told = report.to_dict()
    told["passed"] = reached(report, parts)
    told["kinds"] = {
        kind: {key: value for key, value in part.to_dict(limits(kind)).items() if key in kept}
        for kind, part in parts.items()
    }
    told["photograph_seconds"] = None if photo is None else round(photo.seconds, 3)
    told["versions"] = {"smoothswap": smoothswap.__version__, "torch": torch.__version__}
    with write_aside(path) as aside:
        aside.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _facts(report: SwapReport, models: Models, began: float) -> list[tuple[str, str]]:
    told = report.protocol
    judges = {told.judge: told.judge_weights_fingerprint, **told.further_judges_weights_fingerprint}
    drawn_by = told.generator_weights_fingerprint
    seconds = time.perf_counter() - began
    versions = {"smoothswap": smoothswap.__version__, "torch": torch.__version__, "Python": platform.python_version()}
    return [
        ("model", f"{models.where}: {told.generator} with {told.embedder}, weights_fingerprint {drawn_by[:12]}"),
        *(("judge", _judge(name, digest, told.embedder_weights_fingerprint)) for name, digest in judges.items()),
        ("pairs", f"{told.pairs}, from {told.split}, seed {told.seed}, {told.size} px"),
        ("time", f"{report.seconds:.1f} s for the swaps, {seconds:.0f} s with drawing and measuring"),
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, no GPU used"),
        ("software", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _judge(name: str, digest: str, trained_with: str) -> str:
    trained = "which trained the generator" if digest == trained_with else "no part of the generator's training"
    return f"{name}, weights_fingerprint {digest[:12]}, {trained}"


def _print_outcome(terminal: Console, photo: Photograph | None, asked: Path | bool, page: Path, seconds: float) -> None:
    if photo is not None:
        terminal.print(
            f"A photograph was swapped from file to file in {photo.seconds:.1f} s. A model trained on FaceWorld shows "
            "the pipeline there, not the quality of one trained on photographs.",
            soft_wrap=True,
        )
    elif asked is not False:
        terminal.print(
            "No photograph was swapped: an installed package holds none. Give one: --photograph FILE.", soft_wrap=True
        )
    terminal.print(f"Pictures and figures, {seconds:.0f} s in all: {page}", soft_wrap=True)
