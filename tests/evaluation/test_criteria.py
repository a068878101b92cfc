from __future__ import annotations

import dataclasses

from smoothswap.evaluation.criteria import Criterion, number

RATE = Criterion(name="nearest_rate", says="nearer", value=0.95, error=0.01, limit=0.95, unit="%")


def test_reaching_the_limit_is_enough() -> None:
    assert RATE.passed
    assert dataclasses.replace(RATE, limit=0.1 + 0.2, value=0.3).passed  # 0.1 + 0.2 is above 0.3 by rounding
    assert not dataclasses.replace(RATE, value=0.9499).passed


def test_too_much_fails_where_there_is_an_upper_limit() -> None:
    sharpness = dataclasses.replace(RATE, limit=0.8, upper=1.25)
    assert sharpness.passed
    assert dataclasses.replace(sharpness, value=1.25).passed
    assert not dataclasses.replace(sharpness, value=1.26).passed
    assert not dataclasses.replace(sharpness, value=float("inf")).passed
    assert sharpness.asked == "80.0 % to 125.0 %"


def test_rounding_does_not_decide() -> None:
    assert dataclasses.replace(RATE, value=RATE.limit - 1e-15).passed
    assert not dataclasses.replace(RATE, value=RATE.limit - 1e-5).passed


def test_what_is_not_a_number_never_passes() -> None:
    assert not dataclasses.replace(RATE, value=float("nan")).passed
    assert not dataclasses.replace(RATE, limit=float("nan")).passed


def test_criteria_read_well() -> None:
    assert (RATE.measured, RATE.asked) == ("95.0 ± 1.0 %", "≥ 95.0 %")
    gain = Criterion(name="gain", says="better", value=1.25, error=0.1, limit=1.0, unit="gain dB")
    assert (gain.measured, gain.asked) == ("+1.25 ± 0.10 dB", "≥ 1.00 dB")
    assert number(float("nan"), "dB") == "—"
    assert number(-0.5, "gain dB") == "-0.50 dB"
