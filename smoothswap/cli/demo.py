"""`smoothswap demo`: swap held-out people, compare with their true swaps, and show it all on a page."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

import smoothswap
from smoothswap import api
from smoothswap.cli.console import console
from smoothswap.cli.demo_figures import print_figures
from smoothswap.cli.demo_page import COLUMNS, Page, Photograph, Shown, render_page
from smoothswap.core.assets import shipped
from smoothswap.core.errors import CheckpointError, InputError, WorkError
from smoothswap.core.files import write_aside
from smoothswap.data.faceworld import Colouring, Factors, Population, render, swap_pairs
from smoothswap.evaluation import Scene, SwapReport, swap_report
from smoothswap.modules import weights

if TYPE_CHECKING:
    from torch import nn

SPLITS = {"held_out_people": "held-out people", "held_out_groups": "held-out groups"}
ALIKE = "source and target of one colouring"
FIRST, WORST = 12, 4  # pairs on the page
PAGE, REPORT, FOLDERS = "index.html", "report.json", ("pairs", "photograph")
ASTRONAUT = Path(smoothswap.__file__).resolve().parent.parent / "examples" / "photos" / "astronaut.jpg"


@dataclass(frozen=True)
class _Models:
    generator: nn.Module
    embedder: nn.Module
    judge: nn.Module
    where: str


def run_demo(
    out: Path,
    *,
    pairs: int = 64,
    seed: int = 0,
    model: Path | None = None,
    photograph: Path | bool = True,
) -> int:
    """Swap pairs of people that no training saw, measure, print, and write `out/index.html` and `out/report.json`.

    Args:
        out: folder to write; made where it is missing, reused where it holds an earlier demo.
        pairs: number of pairs of people drawn at random, half of held-out people and half of held-out groups. Half as
            many more, whose source and target share their colouring, are measured beside them and judged by no
            criterion: only shape tells such people apart, which the judge itself cannot always.
        seed: which pairs.
        model: folder with generator.safetensors and embedder.safetensors (and judge.safetensors, where it is not the
            shipped judge that is to judge); the shipped model where left out.
        photograph: picture to swap a face into; True for the astronaut of a checkout of the project, False for none.

    Returns:
        0 when every criterion holds, 1 otherwise.

    Raises:
        InputError: a folder that holds something else, too few pairs, a missing model or photograph.
        NoFaceError: no face in the photograph.
        WorkError: the folder cannot be written.
    """
    began = time.perf_counter()
    if pairs < 1:
        raise InputError(f"the demo needs at least 1 pair, got {pairs}", hint="give --pairs 64")
    if isinstance(photograph, Path) and not photograph.is_file():
        raise InputError(f"no photograph {str(photograph)!r}")
    models = _load(model)
    _prepare(out)
    terminal = console()
    source, target = _draw(pairs, seed)
    report, pictures = _measure(models, source, target, seed, terminal)
    kinds = _kinds(pairs)
    parts = {kind: report.select(numbers) for kind, numbers in kinds.items() if numbers}
    parts[ALIKE], _ = _measure(models, *_draw((pairs + 1) // 2, seed, "same"), seed, terminal)

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
    return 0 if report.passed() else 1


def _load(model: Path | None) -> _Models:
    generator, embedder = api.model_files(model)
    own = generator.with_name("judge.safetensors")
    judge = own if own.is_file() else shipped("faceworld_64/judge.safetensors")
    return _Models(
        _load_kind(generator, "generator"),
        _load_kind(embedder, "embedder"),
        _load_kind(judge, "embedder"),
        "the shipped model" if model is None else str(model),
    )


def _load_kind(path: Path, kind: str) -> nn.Module:
    module: nn.Module = weights.load(path)
    row: Any = getattr(module, "smoothswap_component", None)
    if row is not None and row.kind != kind:
        raise CheckpointError(f"{str(path)!r} holds the {row.kind} {row.name!r} where a {kind} is needed")
    return module


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
        for folder in FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise WorkError(f"could not make the folder {str(out)!r}", str(cause)) from cause


def _draw(pairs: int, seed: int, colouring: Colouring = "any") -> tuple[Factors, Factors]:
    """Sources and targets; pairs of held-out people and of held-out groups take turns."""
    drawn = [swap_pairs(Population(split=split), (pairs + 1) // 2, seed, colouring) for split in SPLITS]
    turns = torch.arange(2 * ((pairs + 1) // 2)).view(2, -1).T.flatten()[:pairs]
    source, target = (Factors.cat(side).select(turns) for side in zip(*drawn, strict=True))
    return source, target


def _kinds(pairs: int) -> dict[str, list[int]]:
    """The kinds of pairs that are told apart, with the numbers of the pairs of each."""
    return {says: [n for n in range(pairs) if n % len(SPLITS) == place] for place, says in enumerate(SPLITS.values())}


def _measure(
    models: _Models, source: Factors, target: Factors, seed: int, terminal: Console
) -> tuple[SwapReport, list[tuple[Tensor, ...]]]:
    """The report, and of each pair the pictures in the order of `COLUMNS`, each [3, S, S] in [-1, 1]."""
    pictures: list[tuple[Tensor, ...]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=terminal, transient=True, disable=not terminal.is_terminal)
    with bar:
        task = bar.add_task("drawing, swapping, measuring", total=len(source))

        def watch(scene: Scene, swapped: Tensor) -> None:
            pictures.extend(zip(scene.source, scene.target, swapped, scene.truth, strict=True))
            bar.advance(task, len(scene))

        split = " and ".join(SPLITS.values())
        report = swap_report(
            models.generator, models.embedder, models.judge, source, target, 8, split=split, seed=seed, watch=watch
        )
    return report, pictures


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
        to_source=float(report.swap.to_source[n]),
        to_target=float(report.swap.to_target[n]),
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
    told = report.to_dict()
    told["kinds"] = {
        name: {key: part.to_dict()[key] for key in ("passed", "criteria", "figures")} for name, part in parts.items()
    }
    told["photograph_seconds"] = None if photo is None else round(photo.seconds, 3)
    told["versions"] = {"smoothswap": smoothswap.__version__, "torch": torch.__version__}
    with write_aside(path) as aside:
        aside.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _facts(report: SwapReport, models: _Models, began: float) -> list[tuple[str, str]]:
    told = report.protocol
    trained = "no part of the generator's training" if told.judge_is_independent else "which trained the generator"
    seconds = time.perf_counter() - began
    versions = {"smoothswap": smoothswap.__version__, "torch": torch.__version__, "Python": platform.python_version()}
    return [
        ("model", f"{models.where}: {told.generator} with {told.embedder}, weights {told.generator_sha256[:12]}"),
        ("judge", f"{told.judge}, weights {told.judge_sha256[:12]}, {trained}"),
        ("pairs", f"{told.pairs}, from {told.split}, seed {told.seed}, {told.size} px"),
        ("time", f"{report.seconds:.1f} s for the swaps, {seconds:.0f} s with drawing and measuring"),
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, no GPU used"),
        ("software", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _print_outcome(terminal: Console, photo: Photograph | None, asked: Path | bool, page: Path, seconds: float) -> None:
    if photo is not None:
        terminal.print(
            f"A photograph was swapped from file to file in {photo.seconds:.1f} s. A model trained on FaceWorld shows "
            "the pipeline there, not the quality of one trained on photographs.",
            soft_wrap=True,
        )
    elif asked is not False:
        terminal.print(
            f"No photograph was swapped: a checkout of the project holds one at {ASTRONAUT}.", soft_wrap=True
        )
    terminal.print(f"Pictures and figures, {seconds:.0f} s in all: {page}", soft_wrap=True)
