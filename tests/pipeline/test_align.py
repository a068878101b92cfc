from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smoothswap.core.errors import InputError, WorkError
from smoothswap.data import listing
from smoothswap.data.origin import origin_of
from smoothswap.pipeline import align_folder, align_one
from smoothswap.pipeline.face import Face

FAST = {"scales": (320,)}


class Bright:
    """A landmarker that tells pictures apart by their brightness."""

    calls = 0

    def find(self, picture: np.ndarray) -> list[Face]:
        Bright.calls += 1
        middle, unit = np.array([20.0, 20.0]), np.array([(-1.0, -1), (1, -1), (0, 0), (-0.8, 1), (0.8, 1)])
        faces = [Face(box=(10, 10, 30, 30), points=middle + size * unit, score=0.9) for size in (8, 3)]
        return faces[: (0 if picture.mean() < 50 else 1 if picture.mean() < 200 else 2)]

    def tried(self, height: int, width: int) -> list[str]:
        return []


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(align_one, "build_landmarker", lambda name, **options: Bright())
    folder = tmp_path / "in"
    for name, level in {
        "anna/1.jpg": 120,
        "anna/2.png": 250,
        "ben/1.jpg": 130,
        "ben/1.png": 140,
        "dark.png": 0,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (level,) * 3).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folders_stay_and_failures_are_told(photographs: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", []
    report = align_folder(
        photographs,
        out,
        size=16,
        workers=1,
        landmarker="test_bright",
        progress=lambda done, all_: seen.append((done, all_)),
    )
    crops = ["anna/1.png", "anna/2.png", "ben/1_jpg.png", "ben/1_png.png"]
    assert _files(out) == sorted([*crops, "manifest.jsonl", "report.json"])
    assert (report.pictures, report.crops, report.skipped) == (6, 4, 0)
    assert set(report.failures) == {"dark.png", "broken.jpg"}
    assert report.failures["dark.png"] == "no face found"
    assert "2 of 6 photographs gave no crop" in str(report)
    assert "1 × no face found (such as dark.png)" in str(report)
    assert json.loads((out / "report.json").read_text())["failures"] == dict(report.failures)
    assert seen == [(n, 6) for n in range(1, 7)]
    with Image.open(out / "anna/1.png") as image:
        assert image.size == (16, 16)


def test_every_face_and_small_ones_left_out(photographs: Path, tmp_path: Path) -> None:
    keywords = {"size": 16, "workers": 1, "landmarker": "test_bright", "face": "all"}
    report = align_folder(photographs, tmp_path / "out", suffix="jpg", **keywords)
    assert "anna/2-face1.jpg" in _files(tmp_path / "out")
    assert report.crops == 5
    report = align_folder(photographs, tmp_path / "large", min_side=30, **keywords)
    assert report.crops == 4


def test_numbers_of_numpy_are_written_as_pythons(photographs: Path, tmp_path: Path) -> None:
    given = {"size": np.int64(16), "workers": np.array(1), "min_side": np.float32(30), "landmarker": "test_bright"}
    align_folder(photographs, tmp_path / "out", **given)
    plain = {"size": 16, "workers": 1, "min_side": 30.0, "landmarker": "test_bright"}
    assert align_folder(photographs, tmp_path / "out", **plain).skipped == 6, "the same settings"


def test_a_second_run_does_only_what_is_missing(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    keywords = {"size": 16, "workers": 1, "landmarker": "test_bright", "face": "all"}
    align_folder(photographs, out, **keywords)
    Bright.calls = 0
    again = align_folder(photographs, out, **keywords)
    assert Bright.calls == 0
    assert (again.skipped, again.crops, len(again.failures)) == (6, 5, 2)
    (out / "anna/1.png").unlink()
    Image.new("RGB", (40, 40), (120,) * 3).save(photographs / "anna/2.png")  # one face now, there were two
    os.utime(photographs / "anna/2.png", (1, 1))
    third = align_folder(photographs, out, **keywords)
    assert (Bright.calls, third.skipped, third.crops) == (2, 4, 4)
    assert "anna/2-face1.png" not in _files(out)


def test_a_manifest_cut_off_by_a_crash(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    keywords = {"size": 16, "workers": 1, "landmarker": "test_bright"}
    align_folder(photographs, out, **keywords)
    manifest = out / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert align_folder(photographs, out, **keywords).skipped == 5
    assert len(manifest.read_text().splitlines()) == 7


def test_other_settings_or_files_of_others(photographs: Path, tmp_path: Path) -> None:
    align_folder(photographs, tmp_path / "out", size=16, workers=1, landmarker="test_bright")
    with pytest.raises(InputError, match="other settings") as error:
        align_folder(photographs, tmp_path / "out", size=32, workers=1, landmarker="test_bright")
    assert "size: 16 then, 32 now" in str(error.value)
    with pytest.raises(InputError, match="not empty"):
        align_folder(photographs, photographs / "anna", size=16, workers=1)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"size": -1}, "size"),
        ({"size": 99_999_999}, "size"),
        ({"size": 8193}, "size"),
        ({"workers": 0}, "workers"),
        ({"face": "one"}, "face"),
        ({"suffix": "gif"}, "suffix"),
    ],
)
def test_wrong_arguments(photographs: Path, tmp_path: Path, wrong: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=f"{what} cannot be"):
        align_folder(photographs, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_missing_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        align_folder(tmp_path / "none", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="no photographs"):
        align_folder(tmp_path / "in", tmp_path / "out")


def test_a_full_disk_stops_the_run(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WorkError, match="could not write"):
        align_folder(photographs, tmp_path / "out", size=16, workers=1, landmarker="test_bright")
    assert _files(tmp_path / "out") == ["manifest.jsonl"]


def test_in_processes_with_yunet(astronaut_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(astronaut_file.read_bytes())
    report = align_folder(folder, tmp_path / "out", size=64, workers=2, landmarker_options=FAST)
    assert (report.crops, dict(report.failures)) == (2, {})


def test_a_process_that_was_not_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align_one, "_state", None)
    with pytest.raises(WorkError, match="not prepared"):
        align_one.run(align_one.Job(source="a", stem="a", stamp=(0, 0)))


def test_the_report_says_where_the_photographs_came_from(photographs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "photographs"
    shutil.copytree(photographs, copy)
    plain = align_folder(copy, tmp_path / "plain", size=16, workers=1, landmarker="test_bright")
    assert plain.origin == {}
    (copy / "manifest.csv").write_text("file,licence\nanna/1.jpg,public domain\n")
    report = align_folder(copy, tmp_path / "told", size=16, workers=1, landmarker="test_bright")
    assert list(report.origin) == ["manifest.csv"]
    assert f"says manifest.csv in {copy}" in str(report)
    assert origin_of(tmp_path / "told") == {"folder": "photographs", "file_sha256": dict(report.origin)}


def _bytes_name(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"\xff\xfe/1.jpg", b"a/\x80.png"])
def test_a_name_that_is_no_utf_8_is_like_any_other(photographs: Path, tmp_path: Path, name: bytes) -> None:
    file = _bytes_name(photographs, name)
    file.parent.mkdir(exist_ok=True)
    Image.new("RGB", (40, 40), (120,) * 3).save(file)
    keywords = {"size": 16, "workers": 1, "landmarker": "test_bright"}
    report = align_folder(photographs, tmp_path / "out", **keywords)
    assert (report.pictures, report.crops) == (7, 5)
    assert _bytes_name(tmp_path / "out", name).with_suffix(".png").is_file()
    assert align_folder(photographs, tmp_path / "out", **keywords).skipped == 7


@pytest.mark.parametrize(
    ("name", "crops"),
    [("a" * 244 + ".jpg", 6), ("a" * 250 + ".jpg", 4), ("a" * 120 + "é" * 65 + ".jpg", 4), ("a" * 245 + ".jpg", 6)],
)
def test_a_long_name_costs_at_most_its_own_photograph(photographs: Path, tmp_path: Path, name: str, crops: int) -> None:
    Image.new("RGB", (40, 40), (250,) * 3).save(photographs / name)
    out = tmp_path / "out"
    report = align_folder(photographs, out, size=16, workers=1, landmarker="test_bright", face="all")
    assert report.crops == 5 + crops - 4
    assert len(list(out.rglob("*.png"))) == report.crops, "no crop of a photograph that is left out"
    assert (name in report.failures) == (crops == 4)
    if crops == 4:
        assert "File name too long" in report.failures[name]


def test_what_is_not_looked_at_is_counted(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = listing._scan

    def refuse(folder: bytes) -> Any:
        if folder.endswith(b"/ben"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(listing, "_scan", refuse)
    (photographs / "anna" / "3.HEIC").touch()
    (photographs / "anna" / "noted").touch()
    os.mkfifo(photographs / "pipe.jpg")
    (photographs / "nowhere.jpg").symlink_to("gone.jpg")
    report = align_folder(photographs, tmp_path / "out", size=16, workers=1, landmarker="test_bright")
    assert dict(report.unread) == {"ben": "Permission denied"}
    assert dict(report.left_out) == {".txt": 1, ".heic": 1, "": 1, ".jpg": 1}
    assert (report.crops, report.failures["nowhere.jpg"]) == (2, "cannot read the file")
    assert "the folder 'ben' could not be read: Permission denied" in str(report)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["unread"] == {"ben": "Permission denied"}


def test_crops_within_the_photographs_are_not_aligned_again(photographs: Path) -> None:
    keywords = {"size": 16, "workers": 1, "landmarker": "test_bright"}
    for _ in range(2):
        assert align_folder(photographs, photographs / "out", **keywords).pictures == 6


def test_a_file_in_the_place_of_the_report(photographs: Path, tmp_path: Path) -> None:
    align_folder(photographs, tmp_path / "out", size=16, workers=1, landmarker="test_bright")
    (tmp_path / "out" / "report.json").unlink()
    (tmp_path / "out" / "report.json").mkdir()
    Bright.calls = 0
    Image.new("RGB", (40, 40), (120,) * 3).save(photographs / "new.png")
    with pytest.raises(InputError, match="it is a folder"):
        align_folder(photographs, tmp_path / "out", size=16, workers=1, landmarker="test_bright")
    assert Bright.calls == 0
