"""Where the faces of an aligned folder have their eyes, nose and mouth, as `smoothswap align` noted it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smoothswap.core.journal import read_rows

MANIFEST = "manifest.jsonl"
"""The journal that `align` keeps beside its crops."""

Points = npt.NDArray[np.float64]
"""[5, 2] x, y: left eye, right eye, nose tip, left and right mouth corner, as the viewer sees them."""


def crop_points(folder: Path) -> dict[str, Points]:
    """The five points of each crop of an aligned folder, by the crop's path in it, as shares of the crop's side.

    Empty where the folder was not written by `align`, or by a version that did not note them.
    """
    lists = (row.get("crops") for row in read_rows(folder / MANIFEST))
    crops = (crop for listed in lists if isinstance(listed, list) for crop in listed)
    return {crop["file"]: points for crop in crops if (points := _points(crop)) is not None}


def _points(crop: Any) -> Points | None:
    if not isinstance(crop, Mapping) or not isinstance(crop.get("file"), str):
        return None
    try:
        points = np.array(crop["points"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return None
    usable = points.shape == (5, 2) and np.isfinite(points).all() and np.ptp(points, axis=0).max() > 0
    return points if usable else None
