from __future__ import annotations

import pytest
import torch

from smoothswap.modules.luma import luma


@pytest.mark.parametrize(
    ("colour", "expected"), [((1, 1, 1), 1.0), ((1, 0, 0), 0.299), ((0, 1, 0), 0.587), ((0, 0, -1), -0.114)]
)
def test_brightness_of_colours(colour: tuple[int, int, int], expected: float) -> None:
    images = torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    assert luma(images).shape == (2, 1, 4, 5)
    torch.testing.assert_close(luma(images), torch.full((2, 1, 4, 5), expected, dtype=torch.float64))
