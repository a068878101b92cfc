"""Lists of pairs: LFW's layout and columns, folds, missing images, lines that are no pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoothswap.core.errors import InputError
from smoothswap.evaluation import read_pairs


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    for who in "abcd":
        touch(tmp_path, *(f"{who}/{who}_{number:04d}.jpg" for number in (1, 2, 13)))
    touch(tmp_path, "e f/e f_0001.png")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "pairs.txt"
    path.write_text(text, "utf-8")
    return path


def test_lfw_with_folds_of_its_own(lfw: Path) -> None:
    text = "2\t2\na\t1\t2\nb\t1\t13\na\t1\tb\t2\nc\t1\td\t2\nc\t1\t2\nd\t1\t2\na\t1\te f\t1\na\t13\tc\t2\n"
    listed = read_pairs(write(lfw, text), lfw)
    assert (listed.layout, listed.listed, listed.missing) == ("lfw", 8, ())
    assert [pair.fold for pair in listed.pairs] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [pair.same for pair in listed.pairs] == [True, True, False, False] * 2
    assert (listed.pairs[1].first, listed.pairs[1].second) == ("b/b_0001.jpg", "b/b_0013.jpg")
    assert listed.pairs[6].second == "e f/e f_0001.png"  # another suffix, and a name with a space
    assert len(listed.images) == len(set(listed.images)) == 11


def test_lfw_of_one_part_gets_ten_folds(lfw: Path) -> None:
    text = "12\n" + "a\t1\t2\n" * 12 + "a\t1\tb\t2\n" * 12
    listed = read_pairs(write(lfw, text), lfw)
    assert [pair.fold for pair in listed.pairs] == [*range(10), 0, 1] * 2


def test_columns_with_and_without_a_third(lfw: Path) -> None:
    rows = [
        "# a comment",
        "",
        "a/a_0001.jpg,a/a_0002.jpg,1",
        "./a/a_0001.jpg , b/b_0001.jpg, 0",
        "e f/e f_0001.png,a/a_0001.jpg,0",
    ]
    rows += ["a/a_0001.jpg a/a_0013.jpg", "a/a_0001.jpg\tc/c_0001.jpg"]
    listed = read_pairs(write(lfw, "\r\n".join(rows)), lfw)
    assert [(pair.same, pair.fold) for pair in listed.pairs] == [
        (True, 0),
        (False, 0),
        (False, 1),
        (True, 1),
        (False, 2),
    ]
    assert listed.pairs[1].first == "a/a_0001.jpg"
    assert listed.pairs[2].first == "e f/e f_0001.png"


def test_missing_images_are_left_out_up_to_a_limit(lfw: Path) -> None:
    rows = ["a/a_0001.jpg a/a_0002.jpg 1", "a/a_0001.jpg b/b_0001.jpg 0"] * 4
    path = write(lfw, "\n".join([*rows, "a/a_0001.jpg nobody/1.jpg 0", "nobody/2.jpg nobody/1.jpg 1"]))
    listed = read_pairs(path, lfw, missing_limit=0.2)
    assert (listed.listed, len(listed.pairs), listed.missing) == (10, 8, ("nobody/1.jpg", "nobody/2.jpg"))
    with pytest.raises(InputError, match="2 of 10 pairs name images") as error:
        read_pairs(path, lfw, missing_limit=0.19)
    assert "nobody/1.jpg, nobody/2.jpg" in str(error.value)
    assert "--missing-limit" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lists no pairs"),
        ("a/a_0001.jpg a/a_0002.jpg 2", "line 1: .* is no pair"),
        ("a/a_0001.jpg a/a_0002.jpg 1\n\na/a_0001.jpg", "line 3"),
        ("one.jpg other.jpg", "not known whether"),
        ("2 2\na 1 2\n", "announces 2 folds of 2 pairs of each kind and lists 1"),
        ("4\na 1 b\n", "no pair of LFW"),
        ("a/a_0001.jpg a/a_0002.jpg 1\n" * 20, "0 pairs of two people"),
    ],
)
def test_lists_that_cannot_be_used(lfw: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_pairs(write(lfw, text), lfw)


def test_no_list_no_folder_and_no_text(lfw: Path) -> None:
    with pytest.raises(InputError, match="cannot read the list"):
        read_pairs(lfw / "none.txt", lfw)
    with pytest.raises(InputError, match="there is no folder"):
        read_pairs(write(lfw, "a b 1"), lfw / "nowhere")
    (lfw / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="is no list of pairs"):
        read_pairs(lfw / "binary.txt", lfw)
    (lfw / "jpeg.txt").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    with pytest.raises(InputError, match="it is a JPEG picture"):
        read_pairs(lfw / "jpeg.txt", lfw)
    np.savez(lfw / "vectors.npz", vectors=np.zeros((2, 4)))
    with pytest.raises(InputError, match=r"NumPy arrays \(.npz\)(?s:.*)smoothswap.evaluation.verify"):
        read_pairs(lfw / "vectors.npz", lfw)
    with pytest.raises(InputError, match="limit of missing images cannot be 2"):
        read_pairs(write(lfw, "a/a_0001.jpg a/a_0002.jpg 1"), lfw, missing_limit=2)


@pytest.mark.parametrize("name", ["x" * 300, "a/" + "y" * 300 + ".jpg"])
def test_a_name_that_is_too_long_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "pairs.txt").write_text(f"a.jpg {name} 1\n")
    with pytest.raises(InputError, match="1 of 1 pairs name images"):
        read_pairs(tmp_path / "pairs.txt", tmp_path)
