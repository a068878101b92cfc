from __future__ import annotations

import dataclasses

import pytest

from smoothswap.core.errors import ConfigError
from smoothswap.evaluation.criteria import Criterion, Thresholds, number

RATE = Criterion("nearest_rate", "nearer", value=0.95, error=0.01, limit=0.95, exceed=False, unit="%")


def test_reaching_the_limit_is_enough_unless_it_must_be_exceeded() -> None:
    assert RATE.passed
    assert not dataclasses.replace(RATE, exceed=True).passed
    assert not dataclasses.replace(RATE, value=0.9499).passed


def test_rounding_neither_reaches_nor_exceeds_a_limit() -> None:
    assert dataclasses.replace(RATE, value=0.95 - 1e-15).passed
    assert not dataclasses.replace(RATE, value=0.95 + 1e-15, exceed=True).passed
    assert dataclasses.replace(RATE, value=0.95 + 1e-5, exceed=True).passed


def test_what_is_not_a_number_never_passes() -> None:
    assert not dataclasses.replace(RATE, value=float("nan")).passed
    assert not dataclasses.replace(RATE, value=float("nan"), exceed=True).passed


def test_criteria_read_well() -> None:
    assert (RATE.measured, RATE.asked) == ("95.0 ± 1.0 %", "≥ 95.0 %")
    gain = Criterion("gain", "better", value=1.25, error=0.1, limit=0.0, exceed=True, unit="gain dB")
    assert (gain.measured, gain.asked) == ("+1.25 ± 0.10 dB", "> 0.00 dB")
    assert number(float("nan"), "dB") == "—"
    assert number(-0.5, "gain dB") == "-0.50 dB"


def test_a_rate_is_a_share() -> None:
    with pytest.raises(ConfigError, match="nearest_rate"):
        Thresholds(nearest_rate=95.0)
