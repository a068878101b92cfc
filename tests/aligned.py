"""Folders as `smoothswap align` leaves them, written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smoothswap.data.face_paste import FACE

POINTS = 0.5 + 0.12 * (FACE - [0, 0.5])  # a frontal face in the middle of a picture


def write_aligned(root: Path, faces: Mapping[str, tuple[int, Any]], side: int = 48) -> Path:
    """A folder as `align` leaves it: pictures of one grey with some grain, and their points."""
    rows = []
    for number, (name, (grey, points)) in enumerate(faces.items()):
        grain = np.random.default_rng(number).integers(-8, 9, (side, side, 3))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((grey + grain).astype(np.uint8)).save(root / name)
        crops = [{"file": name, "points": None if points is None else points.tolist()}]
        rows.append({"source": name, "stamp": [1, 1], "crops": crops, "failure": ""})
    lines = [{"settings": {}}, *rows]
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return root


def write_people(root: Path, people: int, each: int, side: int = 48) -> Path:
    """The same with so many people, frontal, each in a grey of their own, and so many pictures of each."""
    names = {f"{person:02}/{number}.png": 40 + 8 * person % 180 for person in range(people) for number in range(each)}
    return write_aligned(root, {name: (grey, POINTS) for name, grey in names.items()}, side)
