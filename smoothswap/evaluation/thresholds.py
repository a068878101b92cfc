"""What a swap model must reach to be called one.

A similarity judge alone can be fooled by a tint over the whole picture, and two judges may share a weakness. So a swap
must also come much nearer to the true swap than a copy of either picture, take on the shape of the source's head, be as
sharp as the true swap, and leave the background alone. Pairs of one colouring have limits of their own: only shape
tells such people apart, and on other pairs the change of colours hides a head of the wrong shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from smoothswap.core.config import Options, option
from smoothswap.evaluation.criteria import Criterion
from smoothswap.evaluation.estimates import Share, mean, standard_error

if TYPE_CHECKING:
    from smoothswap.evaluation.report import SwapReport

_OVER_TARGET = "better than copying the target, face"
CHANCE = 0.5
"""The least rate that a judge may be asked for."""
_OUTLINE = "outline: share of the true change"


@dataclass(frozen=True, kw_only=True)
class Thresholds(Options):
    """Limits of the criteria on pairs of any people."""

    nearest_rate: float = option(0.99, "share of pairs nearer to the source, by the judge", at_least=0, at_most=1)
    further_rate: float = option(
        0.95, "the same by each further judge, as a share of its rate on the true swaps", at_least=0, at_most=1
    )
    gain_face: float = option(8.0, "gain over copying the target in the face, dB")
    gain_whole: float = option(7.0, "gain over copying the target in the whole picture, dB")
    gain_over_source: float = option(5.0, "gain over copying the source in the face, dB")
    background: float = option(38.0, "PSNR against the target in the background, dB")
    share_outline: float = option(0.75, "share of the true change in the outline")
    sharpness: float = option(
        0.8, "detail in the head as a share of the true swap's, from this to its reciprocal", above=0, at_most=1
    )

    def criteria(self, report: SwapReport) -> tuple[Criterion, ...]:
        """What a swap model must reach, with what this one reached."""
        swap = report.swap
        # A judge that was trained on photographs does not know every rendered person, so the true swap is its measure;
        # one that knows fewer than half of the true swaps is no judge of these pairs.
        limits = {
            name: max(CHANCE, self.further_rate * mean(by.nearer)) for name, by in report.true_swap.further.items()
        }
        further = (
            _mean(
                f"nearest_rate_{name}",
                f"nearer to the source, by {name}",
                by.nearer,
                limits[name],
                "%",
            )
            for name, by in swap.further.items()
        )
        nearest = "nearer to the source than to the target"
        whole = "better than copying the target, whole picture"
        over_source = "better than copying the source, face"
        kept = "background kept (PSNR to the target)"
        return (
            _mean("nearest_rate", nearest, swap.likeness.nearer, self.nearest_rate, "%"),
            *further,
            _mean("gain_face", _OVER_TARGET, report.gain_face, self.gain_face, "gain dB"),
            _mean("gain_whole", whole, report.gain_whole, self.gain_whole, "gain dB"),
            _mean("gain_over_source", over_source, report.gain_over_source, self.gain_over_source, "gain dB"),
            _mean("background", kept, swap.psnr_background, self.background, "dB"),
            _share("share_outline", _OUTLINE, swap.share_outline, self.share_outline),
            _share("sharpness", "as sharp as the true swap", swap.sharpness, self.sharpness, 1 / self.sharpness),
        )


@dataclass(frozen=True, kw_only=True)
class AlikeThresholds(Options):
    """Limits of the criteria on pairs whose source and target share their colouring."""

    gain_face: float = option(3.0, "gain over copying the target in the face, dB")
    share_outline: float = option(0.5, "share of the true change in the outline")
    judge_errors: float = option(
        1.0, "standard errors by which the judge's rate may lie below its rate on the true swaps", at_least=0
    )

    def criteria(self, report: SwapReport) -> tuple[Criterion, ...]:
        """What a swap model must reach on such pairs, with what this one reached."""
        nearer, truth = report.swap.likeness.nearer, report.true_swap.likeness.nearer
        # Both rates are of the same pairs, so the error is that of their difference, pair by pair.
        limit = mean(truth) - self.judge_errors * standard_error(nearer - truth)
        return (
            _mean("nearest_rate", "nearer to the source as often as the true swap", nearer, limit, "%"),
            _mean("gain_face", _OVER_TARGET, report.gain_face, self.gain_face, "gain dB"),
            _share("share_outline", _OUTLINE, report.swap.share_outline, self.share_outline),
        )


def _mean(name: str, says: str, values: Tensor, limit: float, unit: str) -> Criterion:
    return Criterion(name=name, says=says, value=mean(values), error=standard_error(values), limit=limit, unit=unit)


def _share(name: str, says: str, share: Share, limit: float, upper: float = math.inf) -> Criterion:
    return Criterion(name=name, says=says, value=share.value, error=share.error, limit=limit, upper=upper, unit="%")
