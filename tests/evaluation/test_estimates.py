from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from smoothswap.evaluation.estimates import Share, mean, standard_error


def share(part: list[float], whole: list[float]) -> Share:
    return Share(torch.tensor(part, dtype=torch.float64), torch.tensor(whole, dtype=torch.float64))


def test_a_share_and_its_error_by_hand() -> None:
    told = share([1, 2, 6], [2, 4, 4])
    assert told.value == 0.9
    # Residuals 1 − 1.8, 2 − 3.6, 6 − 3.6: squares 0.64 + 2.56 + 5.76 = 8.96, times 3 / 2, root over 10.
    assert told.error == pytest.approx(math.sqrt(8.96 * 1.5) / 10)


def test_with_equal_wholes_it_is_the_error_of_a_mean() -> None:
    torch.manual_seed(0)
    part = torch.rand(20, dtype=torch.float64)
    told = Share(part, torch.full_like(part, 0.5))
    assert told.value == pytest.approx(mean(part / 0.5))
    assert told.error == pytest.approx(standard_error(part / 0.5))


def _jackknife(told: Share) -> float:
    count = len(told.part)
    left_out = [told.select([n for n in range(count) if n != out]).value for out in range(count)]
    values = torch.tensor(left_out, dtype=torch.float64)
    return float(((values - values.mean()).square().sum() * (count - 1) / count).sqrt())


def _random(count: int) -> Share:
    whole = torch.rand(count, dtype=torch.float64) + 0.2
    return Share(whole * (0.5 + 0.3 * torch.randn(count, dtype=torch.float64)), whole)


def test_the_error_agrees_with_the_jackknife() -> None:
    torch.manual_seed(1)
    told = _random(200)
    assert told.error == pytest.approx(_jackknife(told), rel=0.02)


def test_the_error_is_how_far_shares_scatter() -> None:
    torch.manual_seed(2)
    many = [_random(40) for _ in range(400)]
    scatter = float(torch.tensor([told.value for told in many]).std())
    assert sum(told.error for told in many) / len(many) == pytest.approx(scatter, rel=0.1)


def test_a_share_has_the_sign_and_scale_of_its_parts_alone() -> None:
    told = share([1, -3], [2, 2])
    scaled = share([-10, 30], [20, 20])
    assert (told.value, scaled.value) == (-0.5, 0.5)
    assert told.error == pytest.approx(scaled.error)


def test_one_pair_gives_no_error_and_nothing_no_share() -> None:
    assert math.isnan(share([1], [2]).error)
    assert math.isnan(share([0, 0], [0, 0]).value)


def test_parts_and_batches() -> None:
    def both(told: Share) -> tuple[list[float], list[float]]:
        return told.part.tolist(), told.whole.tolist()

    one, other = share([1, 2], [3, 4]), share([5], [6])
    joined = Share.cat([one, other])
    assert both(joined) == ([1, 2, 5], [3, 4, 6])
    assert both(joined.select([2, 0])) == ([5, 1], [6, 3])
    assert both(joined.select(slice(1, None))) == ([2, 5], [4, 6])
    index: Tensor = torch.tensor([True, False, True])
    assert both(joined.select(index)) == ([1, 5], [3, 6])
