"""Figures of swaps on photographs, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smoothswap.evaluation.photograph_report import HEAD_ELLIPSE, head_ellipse, landmark_error


def test_landmark_error_is_in_eye_distances() -> None:
    target = np.random.default_rng(0).normal(size=(68, 2)) * 10
    target[36:42] = (0.0, 0.0)
    target[42:48] = (40.0, 30.0)  # 50 pixels apart
    assert landmark_error(target, target) == 0
    assert landmark_error(target + np.array([3.0, 4.0]), target) == pytest.approx(0.1)
    moved = target.copy()
    moved[0] += (0.0, 68.0)
    assert landmark_error(moved, target) == pytest.approx(1 / 50)
    # The same error in a picture of twice the size.
    assert landmark_error(2 * moved, 2 * target) == pytest.approx(1 / 50)


def test_head_ellipse_holds_the_middle_and_not_the_corners() -> None:
    x, y, across, down = HEAD_ELLIPSE
    places = torch.tensor([[x, y], [x + 0.99 * across, y], [x + 1.01 * across, y], [x, y - 0.99 * down], [0.1, 0.1]])
    assert head_ellipse(places[None]).tolist() == [[True, True, False, True, False]]
