"""Where photographs came from: told by files beside them, also after `align` has cut them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from smoothswap.data.origin import REPORT, origin_files, origin_of, origins


@pytest.mark.parametrize("name", ["manifest.csv", "sources.json", "LICENSE", "README.md", "Licence.txt"])
def test_files_that_say_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("public domain")
    (tmp_path / "portrait.jpg").write_bytes(b"")
    (tmp_path / "manifest.jsonl").write_text("")  # align's own
    (tmp_path / "sources.d").mkdir()
    assert origin_files(tmp_path) == {name: hashlib.sha256(b"public domain").hexdigest()}


def test_crops_are_from_where_they_were_cut(tmp_path: Path) -> None:
    crops = tmp_path / "crops"
    crops.mkdir()
    assert origin_of(crops) == {"folder": "crops", "file_sha256": {}}
    (crops / REPORT).write_text(
        json.dumps({"folder": "/somewhere/portraits", "origin_file_sha256": {"manifest.csv": "ab"}})
    )
    assert origin_of(crops) == {"folder": "portraits", "file_sha256": {"manifest.csv": "ab"}}
    (crops / REPORT).write_text(
        json.dumps({"folder": "portraits", "origin": {"LICENSE": "cd"}})
    )  # an earlier version's
    assert origin_of(crops) == {"folder": "portraits", "file_sha256": {"LICENSE": "cd"}}
    for damaged in ("{", "[]", json.dumps({"folder": "x"})):
        (crops / REPORT).write_text(damaged)
        assert origin_of(crops)["folder"] == "crops"


def test_each_folder_once(tmp_path: Path) -> None:
    parts = [{"folder": str(tmp_path)}, {"groups": 2}, {"folder": str(tmp_path)}, {"folder": str(tmp_path / "gone")}]
    assert origins(parts) == [{"folder": tmp_path.name, "file_sha256": {}}]
