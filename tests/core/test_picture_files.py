"""One table of suffixes, and one sentence about the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smoothswap.core.picture_files import FORMATS, SUFFIXES, added_up, counted, said_left_out
from smoothswap.data.decode import read_rgb
from smoothswap.data.listing import list_pictures
from smoothswap.pipeline.picture import Picture


def test_the_table_is_pillow_s() -> None:
    Image.init()
    also = {"MPO": "JPEG", "DIB": "BMP"}
    theirs = {suffix: also.get(name, name) for suffix, name in Image.registered_extensions().items()}
    assert {suffix: name for name, own in FORMATS.items() for suffix in own} == {
        suffix: name for suffix, name in theirs.items() if name in FORMATS
    }


WRITABLE = [suffix for suffix in SUFFIXES if suffix not in (".pfm", ".pbm", ".pgm", ".avifs")]


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_suffix_is_listed_and_read_by_both_readers(tmp_path: Path, suffix: str) -> None:
    name = next(name for name, own in FORMATS.items() if suffix in own)
    pixels = np.full((8, 8, 3), 200, np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix.upper()}", name)
    assert list(list_pictures(tmp_path).files) == [f"a{suffix.upper()}"]
    for read in (read_rgb(tmp_path / f"a{suffix.upper()}"), Picture.read(tmp_path / f"a{suffix.upper()}").pixels):
        assert np.abs(read.astype(int) - 200).max() <= 3


def test_what_is_left_out_is_counted() -> None:
    assert counted({".txt": 1}) == "1 file that is no picture: 1 × .txt"
    assert counted({".heic": 4, "": 1, ".cr2": 4}) == (
        "9 files that are no pictures: 4 × .cr2, 4 × .heic, 1 × without a suffix"
    )
    assert counted({f".{n}": 1 for n in range(5)}, most=3).endswith("1 × .2, 2 of 2 other kinds")
    assert said_left_out({}, {}) == []
    assert said_left_out({"b": "Permission denied"}, {}) == ["the folder 'b' could not be read: Permission denied"]


@pytest.mark.parametrize("text", [b"[1]", b"3", b'{".txt": "2"}', b'{".txt": null}', b"{", b"\xff"])
def test_counts_that_are_none(text: bytes) -> None:
    with pytest.raises(ValueError):
        added_up([b'{".txt": 1}', text])
