"""The report on a swap model: measured against the true swaps of FaceWorld, beside what trivial answers would get.

Four answers are measured alike: the model's swap, a copy of the target, a copy of the source, and the true swap. The
last three are planted: they show on the same pairs what each figure is worth, and that the measuring works.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from smoothswap.core.files import write_aside
from smoothswap.evaluation.criteria import Criterion, number
from smoothswap.evaluation.estimates import mean
from smoothswap.evaluation.fidelity import CEILING
from smoothswap.evaluation.measured import Measured
from smoothswap.evaluation.protocol import Protocol
from smoothswap.evaluation.thresholds import AlikeThresholds, Thresholds

ANSWERS = ("swap", "copy_target", "copy_source", "true_swap")

_LIKENESS = (
    ("similarity to the source", "to_source", "cosine"),
    ("similarity to the target", "to_target", "cosine"),
    ("nearer to the source", "nearest_rate", "%"),
)
_FIDELITY = (
    ("PSNR to the true swap, whole picture", "psnr_whole", "dB"),
    ("PSNR to the true swap, face", "psnr_face", "dB"),
    ("PSNR to the target, background", "psnr_background", "dB"),
    ("share of the true change, face", "share_face", "%"),
    ("share of the true change, outline", "share_outline", "%"),
    ("sharpness, head", "sharpness", "%"),
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

    def criteria(self, thresholds: Thresholds | AlikeThresholds | None = None) -> tuple[Criterion, ...]:
        """What a swap model must reach, with what this one reached; `AlikeThresholds` for pairs of one colouring."""
        return (thresholds or Thresholds()).criteria(self)

    def passed(self, thresholds: Thresholds | AlikeThresholds | None = None) -> bool:
        """Whether every criterion holds."""
        return all(criterion.passed for criterion in self.criteria(thresholds))

    def rows(self) -> tuple[Row, ...]:
        """Every figure for the four answers, to be printed."""
        figures = [getattr(self, answer).figures() for answer in ANSWERS]
        further = ((f"nearer to the source, by {name}", f"nearest_rate_{name}", "%") for name in self.swap.further)
        return tuple(
            Row(says, tuple(_cell(column[key], unit) for column in figures))
            for says, key, unit in (*_LIKENESS, *further, *_FIDELITY)
        )

    def select(self, index: Tensor | Sequence[int] | slice) -> SwapReport:
        """The report on some of the pairs; the time is taken as equal for each pair."""
        parts = {answer: getattr(self, answer).select(index) for answer in ANSWERS}
        seconds = self.seconds * len(parts["swap"]) / len(self)
        return SwapReport(**parts, protocol=self.protocol, seconds=seconds, warnings=self.warnings)

    def to_dict(self, thresholds: Thresholds | AlikeThresholds | None = None) -> dict[str, Any]:
        """The report as plain values that JSON can hold; figures that are not numbers become null."""
        return {
            "passed": self.passed(thresholds),
            "criteria": {
                criterion.name: {
                    "value": _plain(criterion.value),
                    "standard_error": _plain(criterion.error),
                    "limit": _plain(criterion.limit),
                    "upper_limit": _plain(criterion.upper),
                    "passed": criterion.passed,
                }
                for criterion in self.criteria(thresholds)
            },
            "figures": {
                answer: {key: _plain(value) for key, value in getattr(self, answer).figures().items()}
                for answer in ANSWERS
            },
            "gain_over_copying_the_source_face_db": _plain(mean(self.gain_over_source)),
            "seconds": round(self.seconds, 4),
            "warnings": list(self.warnings),
            "protocol": self.protocol.to_dict(),
            "pairs": [self._pair(n) for n in range(len(self))],
        }

    def _pair(self, n: int) -> dict[str, float | None]:
        """What was measured on pair `n`; its shares are of this pair alone."""
        swap = self.swap.select([n])
        keys = ("nearest_rate", "psnr_whole", "psnr_face", "psnr_background")
        figures = {key: value for key, value in swap.figures().items() if not key.startswith(keys)}
        gains = {"gain_face": self.gain_face, "gain_whole": self.gain_whole, "gain_over_source": self.gain_over_source}
        return {
            **{key: _plain(value) for key, value in figures.items()},
            **{key: _plain(float(values[n])) for key, values in gains.items()},
            "background": _plain(float(swap.psnr_background[0])),
        }

    def save(self, path: Path | str) -> Path:
        """Write the report as JSON, its protocol with it; replaced whole or not at all.

        Raises:
            WorkError: the file cannot be written.
        """
        with write_aside(path) as aside:
            aside.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return Path(path)


def _cell(value: float, unit: str) -> str:
    return "exact" if unit == "dB" and value >= CEILING - 1e-6 else number(value, unit)


def _plain(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
