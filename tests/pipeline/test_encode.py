from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from smoothswap.core.errors import InputError, WorkError
from smoothswap.pipeline.encode import check_output
from smoothswap.pipeline.picture import Picture

SMALL = Picture(pixels=np.full((8, 8, 3), 90, np.uint8))


def test_output_that_exists_stays_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        SMALL.write(path)
    assert path.read_text() == "mine"
    assert Picture.read(SMALL.write(path, overwrite=True)).width == 8


@pytest.mark.parametrize("name", ["a.gif", "a", "a.txt"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="unknown suffix"):
        check_output(tmp_path / name)


def test_missing_folder_and_folder_as_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        check_output(tmp_path / "no" / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        check_output(tmp_path / "a.png", overwrite=True)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WorkError, match="could not write") as error:
        SMALL.write(tmp_path / f"a{suffix}")
    assert error.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold(tmp_path: Path) -> None:
    long = Picture(pixels=np.zeros((1, 70_000, 3), np.uint8))
    for suffix in (".jpg", ".webp"):
        with pytest.raises(InputError, match="cannot be written as"):
            long.write(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
    assert Picture.read(long.write(tmp_path / "a.png")).width == 70_000
    with pytest.raises(InputError, match="quality"):
        SMALL.write(tmp_path / "a.jpg", quality=0)


def test_16_bits_become_8_where_needed(tmp_path: Path) -> None:
    picture = Picture(pixels=np.full((8, 8, 3), 200 * 257, np.uint16))
    assert Picture.read(picture.write(tmp_path / "a.webp", quality=100)).pixels[0, 0].tolist() == [200] * 3
