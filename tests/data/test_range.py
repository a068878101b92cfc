"""Bytes to [-1, 1] and back."""

from __future__ import annotations

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.data.range import to_bytes, to_float

ALL = torch.arange(256, dtype=torch.uint8)


def test_black_and_white_are_the_ends() -> None:
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_byte_comes_back(dtype: torch.dtype) -> None:
    there = to_float(ALL, dtype)
    assert there.dtype == dtype
    error = (to_bytes(there).int() - ALL.int()).abs().max()
    assert error <= (1 if dtype == torch.bfloat16 else 0)


def test_rounds_to_nearest_and_saturates() -> None:
    values = torch.tensor([-3.0, -1.0 + 0.4 / 127.5, -1.0 + 0.6 / 127.5, 7.0])
    assert to_bytes(values).tolist() == [0, 0, 1, 255]


def test_wrong_dtypes() -> None:
    with pytest.raises(ArgumentError, match=r"dtype torch.float32, but torch.uint8"):
        to_float(torch.zeros(3))
    with pytest.raises(ArgumentError, match=r"dtype torch.uint8, but floating point"):
        to_bytes(ALL)
