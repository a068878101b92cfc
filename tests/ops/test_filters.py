from __future__ import annotations

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import downsample2d, filter2d, setup_filter, upsample2d


def test_setup_filter():
    assert setup_filter([1, 3]).tolist() == [[0.0625, 0.1875], [0.1875, 0.5625]]
    assert setup_filter(None).tolist() == [[1.0]]
    assert setup_filter([1, 3], separable=True, flip_filter=True).tolist() == [0.75, 0.25]
    assert setup_filter([1, 3], separable=True, normalize=False, gain=4).tolist() == [2.0, 6.0]
    assert setup_filter([[1, 3]], gain=4).tolist() == [[1.0, 3.0]]
    assert setup_filter(list(range(1, 9))).ndim == 1
    assert setup_filter([1] * 7).ndim == 2


@pytest.mark.parametrize(
    ("f", "options"),
    [
        ([], {}),
        ([[[1]]], {}),
        ([1, -1], {}),
        ([1, float("nan")], {}),
        ([1], {"gain": float("inf")}),
        ([1] * 8, {"gain": -1}),
        ([[1, 2]], {"separable": True}),
    ],
)
def test_setup_filter_refuses(f, options):
    with pytest.raises(ArgumentError, match="setup_filter"):
        setup_filter(f, **options)


# A filter keeps a constant picture only if the taps of each phase sum to the same: 1+3 = 3+1, 1+1 = 2, 3·1 each.
@pytest.mark.parametrize(("taps", "factor"), [([1, 3, 3, 1], 2), ([1, 2, 1], 2), ([1] * 9, 3)])
def test_brightness_and_size_are_kept(taps, factor):
    f, x = setup_filter(taps), torch.ones(1, 1, 36, 42)
    for y, size in (
        (filter2d(x, f), (36, 42)),
        (upsample2d(x, f, up=factor), (36 * factor, 42 * factor)),
        (downsample2d(x, f, down=factor), (36 // factor, 42 // factor)),
    ):
        assert y.shape[2:] == size
        middle = y[:, :, 5:-5, 5:-5]
        torch.testing.assert_close(middle, torch.ones_like(middle), atol=1e-6, rtol=0)


def test_an_even_filter_does_not_shift_the_picture():
    f, x = setup_filter([1, 3, 3, 1]), torch.arange(16.0).expand(1, 1, 16, 16)
    # Pixel centres: column j of the enlarged picture lies at (j + 1/2)/2 − 1/2 of the small one.
    centres = (torch.arange(32) + 0.5) / 2 - 0.5
    torch.testing.assert_close(upsample2d(x, f)[0, 0, 16, 4:-4], centres[4:-4])
    torch.testing.assert_close(downsample2d(x, f)[0, 0, 4, 2:-2], torch.arange(8.0)[2:-2] * 2 + 0.5)
