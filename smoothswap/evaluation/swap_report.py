"""The report on a swap model: measured against the true swaps of FaceWorld, beside what trivial answers would get.

Four answers are measured alike: the model's swap, a copy of the target, a copy of the source, and the true swap. The
last three are planted: they show on the same pairs what each figure is worth, and that the measuring works.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError
from smoothswap.core.files import write_aside
from smoothswap.core.interfaces import Embedder, Generator
from smoothswap.data.faceworld import Factors
from smoothswap.evaluation.criteria import Criterion, Thresholds, number
from smoothswap.evaluation.fidelity import CEILING
from smoothswap.evaluation.measured import Measured, mean, measure, standard_error
from smoothswap.evaluation.protocol import Protocol, component_name, weights_sha256
from smoothswap.evaluation.scene import Scene, draw_scene
from smoothswap.modules.face_input import to_face_input

ANSWERS = ("swap", "copy_target", "copy_source", "true_swap")

_ROWS = (
    ("similarity to the source", "to_source", "cosine"),
    ("similarity to the target", "to_target", "cosine"),
    ("nearer to the source", "nearest_rate", "%"),
    ("PSNR to the true swap, whole picture", "psnr_whole", "dB"),
    ("PSNR to the true swap, face", "psnr_face", "dB"),
    ("PSNR to the target, background", "psnr_background", "dB"),
    ("share of the true change, face", "share_face", "%"),
    ("share of the true change, outline", "share_outline", "%"),
)


@dataclass(frozen=True)
class Row:
    """One figure for the four answers, to be read: `cells` in the order of `ANSWERS`."""

    figure: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class SwapReport:
    """How well a model swaps N pairs.

    Attributes:
        swap: measurements of the model's swaps.
        copy_target: measurements of the targets, offered as swaps.
        copy_source: measurements of the sources, offered as swaps.
        true_swap: measurements of the true swaps, the best there is.
        protocol: how it was measured.
        seconds: time that embedding and swapping the N pairs took, without drawing and measuring.
        warnings: what makes the figures worth less than they look; empty when nothing does.
    """

    swap: Measured
    copy_target: Measured
    copy_source: Measured
    true_swap: Measured
    protocol: Protocol
    seconds: float
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.swap)

    @property
    def gain_whole(self) -> Tensor:
        """Gain over copying the target against the true swap, whole picture, dB [N]."""
        return self.swap.psnr_whole - self.copy_target.psnr_whole

    @property
    def gain_face(self) -> Tensor:
        """Gain over copying the target against the true swap, face, dB [N]."""
        return self.swap.psnr_face - self.copy_target.psnr_face

    @property
    def gain_over_source(self) -> Tensor:
        """Gain over copying the source against the true swap, face, dB [N]."""
        return self.swap.psnr_face - self.copy_source.psnr_face

    def criteria(self, thresholds: Thresholds | None = None) -> tuple[Criterion, ...]:
        """What a swap model must reach, with what this one reached."""
        limits = thresholds or Thresholds()
        nearer = self.swap.nearer
        kept = self.swap.psnr_background
        rows = (
            ("nearest_rate", "nearer to the source than to the target", nearer, limits.nearest_rate, False, "%"),
            ("gain_face", "better than copying the target, face", self.gain_face, limits.gain_face, False, "gain dB"),
            ("gain_whole", "better than copying, whole picture", self.gain_whole, limits.gain_whole, True, "gain dB"),
            ("background", "background kept (PSNR to the target)", kept, limits.background, False, "dB"),
        )
        return tuple(
            Criterion(name, says, mean(values), standard_error(values), limit, exceed, unit)
            for name, says, values, limit, exceed, unit in rows
        )

    def passed(self, thresholds: Thresholds | None = None) -> bool:
        """Whether every criterion holds."""
        return all(criterion.passed for criterion in self.criteria(thresholds))

    def rows(self) -> tuple[Row, ...]:
        """Every figure for the four answers, to be printed."""
        figures = [getattr(self, answer).figures() for answer in ANSWERS]
        return tuple(Row(says, tuple(_cell(column[key], unit) for column in figures)) for says, key, unit in _ROWS)

    def select(self, index: Tensor | Sequence[int] | slice) -> SwapReport:
        """The report on some of the pairs; the time is taken as equal for each pair."""
        parts = {answer: getattr(self, answer).select(index) for answer in ANSWERS}
        seconds = self.seconds * len(parts["swap"]) / len(self)
        return SwapReport(**parts, protocol=self.protocol, seconds=seconds, warnings=self.warnings)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that JSON can hold; figures that are not numbers become null."""
        return {
            "passed": self.passed(),
            "criteria": {
                criterion.name: {
                    "value": _plain(criterion.value),
                    "standard_error": _plain(criterion.error),
                    "limit": criterion.limit,
                    "passed": criterion.passed,
                }
                for criterion in self.criteria()
            },
            "figures": {
                answer: {key: _plain(value) for key, value in getattr(self, answer).figures().items()}
                for answer in ANSWERS
            },
            "gain_over_copying_the_source_face_db": _plain(mean(self.gain_over_source)),
            "seconds": round(self.seconds, 4),
            "warnings": list(self.warnings),
            "protocol": self.protocol.to_dict(),
            "pairs": [
                {
                    "to_source": _plain(float(self.swap.to_source[n])),
                    "to_target": _plain(float(self.swap.to_target[n])),
                    "gain_face": _plain(float(self.gain_face[n])),
                    "gain_whole": _plain(float(self.gain_whole[n])),
                    "background": _plain(float(self.swap.psnr_background[n])),
                }
                for n in range(len(self))
            ],
        }

    def save(self, path: Path | str) -> Path:
        """Write the report as JSON, its protocol with it; replaced whole or not at all.

        Raises:
            WorkError: the file cannot be written.
        """
        with write_aside(path) as aside:
            aside.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return Path(path)


def swap_report(
    generator: nn.Module,
    embedder: nn.Module,
    judge: nn.Module,
    source: Factors,
    target: Factors,
    batch_size: int = 16,
    *,
    supersample: int = 2,
    split: str = "",
    seed: int | None = None,
    watch: Callable[[Scene, Tensor], None] | None = None,
) -> SwapReport:
    """Swap pairs of FaceWorld and measure the result against the true swaps.

    Everything runs on the device of the factors, where the models must be as well; they are used in eval mode and left
    as they were.

    Args:
        generator: the model to judge.
        embedder: the embedder that it was trained with.
        judge: an embedder that had no part in its training; with the same one the report carries a warning.
        source: factors of N pictures, the people to put in.
        target: factors of N pictures to put them into.
        batch_size: pairs at once.
        supersample: subpixels per pixel side of the pictures.
        split: where the pairs come from, in words, for the protocol.
        seed: seed of the pairs, for the protocol.
        watch: called after each batch with its scene and the swapped pictures [B, 3, S, S].

    Raises:
        ArgumentError: no pairs, or different numbers of sources and targets.
    """
    count = len(source)
    if count == 0 or count != len(target):
        raise ArgumentError(f"swaps need as many targets as sources, and at least one: {count} and {len(target)}")
    if batch_size < 1:
        raise ArgumentError(f"batch_size must be at least 1, got {batch_size}")
    size = cast(Generator, generator).image_size
    parts: dict[str, list[Measured]] = {answer: [] for answer in ANSWERS}
    seconds = 0.0
    with torch.inference_mode(), _evaluating(generator, embedder, judge):
        for start in range(0, count, batch_size):
            batch = slice(start, start + batch_size)
            scene = draw_scene(source.select(batch), target.select(batch), size, supersample)
            began = _now(scene.target)
            swapped = generator(scene.target, embed(embedder, scene.source)).clamp(-1, 1)
            seconds += _now(swapped) - began
            z_source, z_target = embed(judge, scene.source), embed(judge, scene.target)
            answers = (
                (swapped, embed(judge, swapped)),
                (scene.target, z_target),
                (scene.source, z_source),
                (scene.truth, embed(judge, scene.truth)),
            )
            for answer, (pictures, z) in zip(ANSWERS, answers, strict=True):
                parts[answer].append(measure(scene, pictures, z, z_source, z_target))
            if watch is not None:
                watch(scene, swapped)
    protocol = Protocol(
        judge=component_name(judge),
        judge_sha256=weights_sha256(judge),
        generator=component_name(generator),
        generator_sha256=weights_sha256(generator),
        embedder=component_name(embedder),
        embedder_sha256=weights_sha256(embedder),
        pairs=count,
        split=split,
        seed=seed,
        size=size,
        supersample=supersample,
    )
    measured = {answer: Measured.cat(parts[answer]) for answer in ANSWERS}
    warnings = _warnings(protocol, measured["true_swap"])
    return SwapReport(**measured, protocol=protocol, seconds=seconds, warnings=warnings)


def embed(embedder: nn.Module, images: Tensor) -> Tensor:
    """Identity vectors [B, D] of images [B, 3, H, W] (RGB, [-1, 1], FFHQ crop), brought to what `embedder` expects."""
    return cast(Embedder, embedder)(to_face_input(images, cast(Embedder, embedder).expects))


def _warnings(protocol: Protocol, true_swap: Measured) -> tuple[str, ...]:
    found = []
    if not protocol.judge_is_independent:
        found.append(
            f"the judge ({protocol.judge}, {protocol.judge_sha256[:12]}) is the embedder that trained the generator: "
            "its similarities only show that the generator fools it"
        )
    rate = mean(true_swap.nearer)
    if rate < Thresholds().nearest_rate:
        found.append(
            f"the judge finds only {number(rate, '%')} of the true swaps nearer to their source than to their target: "
            "it cannot tell these people apart well enough to judge a swap"
        )
    return tuple(found)


@contextlib.contextmanager
def _evaluating(*modules: nn.Module) -> Iterator[None]:
    """All modules in eval mode; afterwards each submodule is as it was."""
    training = {part: part.training for module in modules for part in module.modules()}
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode


def _now(after: Tensor) -> float:
    """Seconds on a clock, once the work on `after`'s device is done."""
    if after.is_cuda:
        torch.cuda.synchronize(after.device)
    return time.perf_counter()


def _cell(value: float, unit: str) -> str:
    return "exact" if unit == "dB" and value >= CEILING - 1e-6 else number(value, unit)


def _plain(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
