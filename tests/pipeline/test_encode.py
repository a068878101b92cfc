from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


@pytest.mark.parametrize("quality", [1, 50, 80, 90, 94, 95, 98, 100])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (300, 17), (256, 256)])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("metadata_bytes", [0, 5_000, 64_900])
def test_grain_can_be_written_as_jpeg(
    tmp_path: Path,
    noise: np.random.Generator,
    capfd: pytest.CaptureFixture[str],
    quality: int,
    height: int,
    width: int,
    grey: bool,
    metadata_bytes: int,
) -> None:
    # uniform noise is the most that a picture can hold
    pixels = noise.integers(0, 256, (height, width, 1 if grey else 3)).astype(np.uint8)
    grain = Picture(
        pixels=np.repeat(pixels, 3, axis=2) if grey else pixels,
        grey=grey,
        exif=b"Exif\0\0" + noise.bytes(metadata_bytes) if metadata_bytes else None,
        xmp=b"x" * metadata_bytes or None,
        icc=noise.bytes(3 * metadata_bytes) or None,
    )
    with Image.open(grain.write(tmp_path / "a.jpg", quality=quality)) as image:
        image.load()
        assert image.size == (width, height)
        assert image.info.get("exif") == grain.exif
        assert image.info.get("xmp") == grain.xmp
        assert image.info.get("icc_profile") == grain.icc
        if quality == 100:
            assert np.abs(np.asarray(image).reshape(pixels.shape).astype(int) - pixels).max() <= 4
    assert capfd.readouterr().err == ""


def test_grain_over_transparency_and_of_16_bits(tmp_path: Path, noise: np.random.Generator) -> None:
    deep = noise.integers(0, 65536, (256, 256, 3)).astype(np.uint16)
    picture = Picture(pixels=deep, alpha=noise.integers(0, 65536, (256, 256)).astype(np.uint16), dpi=(300, 300))
    for quality in (90, 94, 100):
        assert Picture.read(picture.write(tmp_path / f"{quality}.jpg", quality=quality)).dpi == (300, 300)
