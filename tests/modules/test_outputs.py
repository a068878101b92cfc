"""A component that gives the wrong shape is named with what was expected."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import smoothswap
from smoothswap.core.errors import ArgumentError
from smoothswap.modules.outputs import check_logits, check_swapped, check_vectors

IMAGES = torch.zeros(4, 3, 16, 16)


class Named:
    dim = 8


def test_what_fits_comes_back() -> None:
    vectors, logits = torch.ones(4, 8), torch.ones(4, 1)
    assert check_vectors(vectors, IMAGES, Named()) is vectors
    assert check_vectors(vectors, IMAGES, object()) is vectors, "nothing declared, nothing compared"
    assert check_logits(logits, IMAGES, object()) is logits
    assert check_swapped(IMAGES, IMAGES, object()) is IMAGES


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (torch.ones(4, 9), r"\[4, 9\], expected \[4, 8\]"),
        (torch.ones(8), r"\[8\], expected \[4, 8\]"),
        (torch.ones(4, 8, 1, 1), r"\[4, 8, 1, 1\], expected \[4, 8\]"),
        ((torch.ones(4, 8),), r"a tuple, expected \[4, 8\]"),
        (None, r"a NoneType, expected \[4, 8\]"),
    ],
)
def test_vectors_of_another_shape(output: Any, found: str) -> None:
    with pytest.raises(ArgumentError, match=f"the embedder 'Named' gave {found}") as error:
        check_vectors(output, IMAGES, Named())
    assert "dim = 8" in str(error.value)


@pytest.mark.parametrize("shape", [(4, 3, 8, 8), (4, 1, 16, 16), (1, 3, 16, 16), (4, 16, 16, 3)])
def test_swapped_images_of_another_shape(shape: tuple[int, ...]) -> None:
    generator = smoothswap.build("smooth_unet_64")
    with pytest.raises(
        ArgumentError, match=r"the generator 'smooth_unet_64' gave .*expected \[4, 3, 16, 16\]"
    ) as error:
        check_swapped(torch.zeros(shape), IMAGES, generator)
    assert "from smoothswap" in str(error.value)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (1, 1), (4, 1, 2, 2)])
def test_logits_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"expected \[4, 1\]"):
        check_logits(torch.zeros(shape), IMAGES, object())
