"""identity_folder: people from sub-folders, those left out, and broken files within a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smoothswap.core.errors import InputError
from smoothswap.data.identity_folder import IdentityFolder


def folder(root: Path, **options: object) -> IdentityFolder:
    values = {"folder": str(root), "image_size": 16, "held_out": 0.0} | options
    return IdentityFolder(IdentityFolder.Config.make(values))


def test_people_are_sub_folders(tmp_path: Path, write: Any, people: Any) -> None:
    people(tmp_path, {"n000002": 3, "n000010": 2})
    write(tmp_path / "n000010" / "more" / "x.png", 77)
    write(tmp_path / "nobody.png", 99)
    data = folder(tmp_path)
    assert data.names == ["n000002", "n000010"]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.people == 2
    assert [group.tolist() for group in data.pictures_of] == [[0, 1, 2], [3, 4, 5]]
    assert [int(data[i]["image"].max()) for i in range(6)] == [1, 2, 3, 11, 12, 77]
    assert [data[i]["person"] for i in range(6)] == data.labels.tolist()


def test_names_that_sort_around_the_separator_stay_together(tmp_path: Path, people: Any) -> None:
    # "a b/…" sorts before "a/…" as a text, and "a-b" between.
    people(tmp_path, {"a": 2, "a b": 2, "a-b": 2, "a0": 2})
    data = folder(tmp_path)
    assert data.names == ["a", "a b", "a-b", "a0"]
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_people_with_few_pictures_are_left_out_and_counted(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 4, "b": 1, "c": 3, "d": 2})
    data = folder(tmp_path, min_images=3)
    assert data.names == ["a", "c"]
    assert data.dropped == 2
    assert data.labels.tolist() == [0] * 4 + [1] * 3


def test_split_is_by_person(tmp_path: Path) -> None:
    for p in range(60):
        for k in range(2):
            path = tmp_path / f"n{p:06}" / f"{k}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    train, rest = (folder(tmp_path, split=split, held_out=0.3) for split in ("train", "held_out"))
    assert sorted(train.names + rest.names) == [f"n{p:06}" for p in range(60)]
    assert 8 <= rest.people <= 28
    assert int(rest.labels.max()) == rest.people - 1


def test_broken_file_is_replaced_by_the_same_person(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 3, "b": 3})
    for name in ("a/0002.png", "b/0001.png"):
        (tmp_path / name).write_bytes(b"broken")
    data = folder(tmp_path)
    assert (data[2]["person"], int(data[2]["image"].max())) == (0, 1)
    assert (data[4]["person"], int(data[4]["image"].max())) == (1, 13)
    assert [path.name for path in data.broken] == ["0002.png", "0001.png"]


def test_person_without_a_readable_picture_is_replaced_by_another(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 2, "b": 2, "c": 2})
    for path in (tmp_path / "b").iterdir():
        path.write_bytes(b"")
    data = folder(tmp_path)
    assert (data[3]["person"], int(data[3]["image"].max())) == (2, 21), "labelled as whom it shows"


@pytest.mark.parametrize("names", [[], ["only"]])
def test_too_few_people(tmp_path: Path, names: list[str], people: Any) -> None:
    people(tmp_path, dict.fromkeys(names, 3))
    with pytest.raises(InputError, match=rf"too few people: {len(names)} (?s:.*)at least 2 people are needed"):
        folder(tmp_path)


def test_pictures_without_sub_folders(tmp_path: Path, write: Any) -> None:
    for i in range(5):
        write(tmp_path / f"{i}.png", 9)
    with pytest.raises(InputError, match=r"(?s)sub-folders with pictures: 0.*one sub-folder for each"):
        folder(tmp_path)
