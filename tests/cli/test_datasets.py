"""`faceworld` and `align`, from folder to folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from skimage.data import astronaut

Run = Callable[..., Any]


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_faceworld_writes_people_and_goes_on(run: Run, tmp_path: Path) -> None:
    words = ["faceworld", tmp_path / "world", "--people", 2, "--images-per-person", 2, "--size", 16]
    outcome = run(*words)
    assert outcome.code == 0
    assert "2 people written, 0 were there before" in outcome.out
    pictures = sorted((tmp_path / "world").glob("*/*.png"))
    assert len(pictures) == 4
    assert _size(pictures[0]) == (16, 16)
    assert "0 people written, 2 were there before" in run(*words).out


def test_faceworld_refuses_a_folder_of_other_options(run: Run, tmp_path: Path) -> None:
    run("faceworld", tmp_path / "world", "--people", 1, "--images-per-person", 1, "--size", 16)
    outcome = run("faceworld", tmp_path / "world", "--people", 2, "--images-per-person", 1, "--size", 16)
    assert outcome.code == 2
    assert "other options" in outcome.err


def test_align_crops_and_reports_what_failed(run: Run, tmp_path: Path) -> None:
    photographs, crops = tmp_path / "photographs", tmp_path / "crops"
    photographs.mkdir()
    Image.fromarray(astronaut()).save(photographs / "face.jpg")
    Image.new("RGB", (64, 64)).save(photographs / "black.png")
    (photographs / "broken.jpg").write_bytes(b"not a picture")
    outcome = run("align", photographs, crops, "--size", 64, "--workers", 1)
    assert outcome.code == 0
    assert "1 crops of 1 photographs" in outcome.out
    assert _size(crops / "face.png") == (64, 64)
    assert sorted(json.loads((crops / "report.json").read_text())["failures"]) == ["black.png", "broken.jpg"]
    assert "3 photographs were done before" in run("align", photographs, crops, "--size", 64, "--workers", 1).out


def test_align_without_a_folder_or_photographs(run: Run, tmp_path: Path) -> None:
    assert "no folder" in run("align", tmp_path / "none", tmp_path / "out").err
    assert "no photographs" in run("align", tmp_path, tmp_path / "out").err
