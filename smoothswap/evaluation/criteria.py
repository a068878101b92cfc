"""What a swap model must reach to be called one, as named criteria.

A similarity judge alone can be fooled by a tint over the whole picture. So a swap must also come nearer to the true
swap than its target was, and leave the background alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from smoothswap.core.config import Options, option
from smoothswap.modules.cosines import TIE


@dataclass(frozen=True, kw_only=True)
class Thresholds(Options):
    """Limits of the criteria."""

    nearest_rate: float = option(0.95, "share of pairs nearer to the source than to the target", at_least=0, at_most=1)
    gain_face: float = option(1.0, "gain over copying the target in the face, dB")
    gain_whole: float = option(0.0, "gain over copying the target in the whole picture, dB, to be exceeded")
    background: float = option(25.0, "PSNR against the target in the background, dB")


@dataclass(frozen=True)
class Criterion:
    """One thing that must hold.

    Attributes:
        name: short name, as in the JSON of a report.
        says: what it asks for, in words.
        value: what was measured.
        error: standard error of the value.
        limit: what it must reach.
        exceed: whether it must be greater than the limit; otherwise equal is enough.
        unit: `%` (the value is a share) or `dB`.
    """

    name: str
    says: str
    value: float
    error: float
    limit: float
    exceed: bool
    unit: str

    @property
    def passed(self) -> bool:
        """Whether it holds; values within `TIE` of the limit are equal to it, and NaN never holds."""
        return self.value > self.limit + TIE if self.exceed else self.value >= self.limit - TIE

    @property
    def measured(self) -> str:
        """The value and its standard error, to be read."""
        value, _, unit = number(self.value, self.unit).partition(" ")
        return f"{value} ± {self.spread} {unit}".rstrip()

    @property
    def spread(self) -> str:
        """The standard error without its unit, to be read."""
        return number(self.error, self.unit).lstrip("+").partition(" ")[0]

    @property
    def asked(self) -> str:
        """The limit, to be read."""
        return f"{'>' if self.exceed else '≥'} {number(self.limit, self.unit).lstrip('+')}"


def number(value: float, unit: str) -> str:
    """A figure with its unit, to be read: shares as per cent, gains with their sign."""
    if math.isnan(value):
        return "—"
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "gain dB":
        return f"{value:+.2f} dB"
    if unit == "dB":
        return f"{value:.1f} dB"
    return f"{value:.3f}"
