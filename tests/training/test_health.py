"""The panel tells a swap from a copy, and a game from a walk-over."""

from __future__ import annotations

import pytest

from smoothswap.core.errors import WorkError
from smoothswap.training.health import Health, check_finite


def line(source: float, target: float, real: float = 0.7, fake: float = 0.7) -> dict[str, float]:
    return {
        "similarity_source": source,
        "similarity_target": target,
        "psnr_target": 24.0,
        "accuracy_real": real,
        "accuracy_fake": fake,
    }


def test_a_copied_target_is_told_once_and_again_when_it_comes_back() -> None:
    health = Health(copy_alarm_after=1000)
    assert health.update(line(0.1, 0.9), 500) == []
    alarms = health.update(line(0.1, 0.9), 1000)
    assert len(alarms) == 1
    assert "copies the target" in alarms[0]
    assert health.update(line(0.1, 0.9), 1500) == []
    for _ in range(20):
        assert health.update(line(0.8, 0.2), 2000) == []
    told = [alarm for _ in range(20) for alarm in health.update(line(0.1, 0.9), 3000)]
    assert len(told) == 1


@pytest.mark.parametrize("rounding", [-1e-9, 0.0, 1e-9])
def test_as_near_to_either_is_a_copy_whatever_the_rounding(rounding: float) -> None:
    assert len(Health(copy_alarm_after=0).update(line(0.5 + rounding, 0.5), 10)) == 1


def test_a_swap_raises_no_alarm() -> None:
    health = Health(copy_alarm_after=0)
    assert [alarm for _ in range(50) for alarm in health.update(line(0.8, 0.2), 10_000)] == []
    assert "to source 0.80" in health.line()
    assert "24.0 dB" in health.line()


def test_a_discriminator_that_has_won() -> None:
    health = Health(copy_alarm_after=10**9)
    alarms = [alarm for _ in range(10) for alarm in health.update(line(0.5, 0.1, 1.0, 1.0), 100)]
    assert len(alarms) == 1
    assert "discriminator has won" in alarms[0]


def test_the_state_continues_alike() -> None:
    first, second = Health(0), Health(0)
    first.update(line(0.1, 0.9), 10)
    second.restore(first.state())
    assert first.update(line(0.2, 0.9), 20) == second.update(line(0.2, 0.9), 20)
    assert first.line() == second.line()


def test_numbers_that_are_not_finite_stop_the_training() -> None:
    check_finite({"loss": 1.0}, 10)
    with pytest.raises(WorkError, match="diverged after 10 images") as error:
        check_finite({"loss": float("nan"), "other": 1.0}, 10)
    assert "loss = nan" in str(error.value)
    assert error.value.exit_code == 1


def test_without_a_discriminator_nothing_is_said_of_it() -> None:
    health = Health(copy_alarm_after=10**9)
    seen = {name: value for name, value in line(0.5, 0.1).items() if not name.startswith("accuracy")}
    assert health.update(seen, 10) == []
    assert health.line() == "cosine to source 0.50, to target 0.10 · 24.0 dB to the target picture"
    health.update(line(0.5, 0.1), 20)
    assert health.line().endswith("· D right on real 0.70, on swapped 0.70")
