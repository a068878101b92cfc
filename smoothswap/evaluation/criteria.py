"""One thing that a swap model must reach, with what it reached, and both to be read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smoothswap.modules.cosines import TIE


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One thing that must hold.

    Attributes:
        name: short name, as in the JSON of a report.
        says: what it asks for, in words.
        value: what was measured.
        error: standard error of the value.
        limit: what it must reach at least.
        upper: what it may reach at most.
        unit: `%` (the value is a share), `dB` or `gain dB`.
    """

    name: str
    says: str
    value: float
    error: float
    limit: float
    upper: float = math.inf
    unit: str

    @property
    def passed(self) -> bool:
        """Whether it holds; values within `TIE` of a limit are equal to it, and NaN never holds."""
        return self.limit - TIE <= self.value <= self.upper + TIE

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
        """The limit, or both, to be read."""
        limit = number(self.limit, self.unit).lstrip("+")
        return f"≥ {limit}" if math.isinf(self.upper) else f"{limit} to {number(self.upper, self.unit).lstrip('+')}"


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
