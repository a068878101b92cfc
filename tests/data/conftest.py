"""Small folders of pictures whose colour says which file they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _write(path: Path, value: int, size: tuple[int, int] = (16, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:, : size[1] // 2] = value
    Image.fromarray(pixels).save(path)
    return path


def _people(root: Path, counts: dict[str, int]) -> Path:
    for p, (name, count) in enumerate(counts.items()):
        for k in range(count):
            _write(root / name / f"{k:04}.png", 10 * p + k + 1)
    return root


@pytest.fixture
def write() -> Callable[..., Path]:
    """`write(path, value, size=(16, 16))`: a picture whose left half is `value` grey and whose right half is black."""
    return _write


@pytest.fixture
def people() -> Callable[[Path, dict[str, int]], Path]:
    """`people(root, counts)`: a sub-folder for each name; picture k of person number p has the value 10·p + k + 1."""
    return _people


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the user's cache folder."""
    monkeypatch.setenv("SMOOTHSWAP_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
