"""What a file is by its first bytes."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from smoothswap.core.file_kind import file_kind, unreadable


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "a Git LFS pointer of 64 bytes"),
        (b"\xef\xbb\xbf  <!DOCTYPE html>\n", "an HTML page"),
        (b"<HTML><body>", "an HTML page"),
        (pickle.dumps([1], protocol=4), "a pickle"),
        ((2).to_bytes(8, "little") + b"{}", "a safetensors file"),
        (b"\x00\x00\x00\x20ftypisom", "a video (MP4 or QuickTime)"),
        (b"\x00\x00\x00\x20ftypqt  ", "a video (MP4 or QuickTime)"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "a video (AVI)"),
        (b"\x1aE\xdf\xa3\x01", "a video (Matroska or WebM)"),
        (b"PK\x03\x04 cut short", "a zip archive that is cut short or damaged"),
        (b"", "an empty file"),
    ],
)
def test_kinds(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert str(file_kind(tmp_path / "file")).startswith(kind)


@pytest.mark.parametrize(
    "content", [b"\x00\x00\x00\x20ftypavif", b"RIFF\x00\x00\x00\x00WEBPVP8 ", b"\x08\x07", b"hello"]
)
def test_what_is_not_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert file_kind(tmp_path / "file") is None


def test_zip_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
        archive.writestr("weights.pth", "x")
    assert file_kind(tmp_path / "a.npz") == "a zip archive of NumPy arrays (.npz)"
    assert file_kind(tmp_path / "b.zip") == "a zip archive of 2 files"
    assert file_kind(tmp_path / "missing") is None
    assert "unpack it" in str(unreadable(tmp_path / "b.zip", "safetensors", ValueError("no header")))
