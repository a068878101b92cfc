"""image_folder: what it finds, how it splits, and what it does about broken files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

import smoothswap
from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.data.image_folder import ImageFolder


def folder(root: Path, **options: object) -> ImageFolder:
    return ImageFolder(ImageFolder.Config.make({"folder": str(root), "image_size": 16, "held_out": 0.0} | options))


@pytest.fixture
def ten(tmp_path: Path, write: Any) -> Path:
    for i in range(10):
        write(tmp_path / f"{i // 4:02}" / f"{i}.png", i + 1)
    return tmp_path


def shown(data: ImageFolder, index: int) -> int:
    """The value that says which file picture `index` came from."""
    return int(data[index]["image"].max())


def test_finds_pictures_at_any_depth_in_sorted_order(ten: Path, write: Any) -> None:
    (ten / "notes.txt").write_text("not a picture")
    write(ten / ".hidden" / "x.png", 99)
    write(ten / "deep" / "er" / "AND UPPER.PNG", 50)
    data = folder(ten)
    assert len(data) == data.people == 11
    assert [shown(data, i) for i in range(11)] == [*range(1, 11), 50]
    assert data.path(10).name == "AND UPPER.PNG"


def test_every_picture_is_its_own_person(ten: Path) -> None:
    data = folder(ten)
    assert torch.equal(data.labels, torch.arange(10))
    item = data[3]
    assert item["person"] == 3
    assert type(item["person"]) is int
    assert item["image"].dtype == torch.uint8
    assert item["image"].shape == (3, 16, 16)


def test_other_sizes_become_the_centre_square(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "wide.png", 200, (20, 60))
    write(tmp_path / "tall.jpg", 200, (60, 20))
    assert {tuple(folder(tmp_path, image_size=8)[i]["image"].shape) for i in (0, 1)} == {(3, 8, 8)}


def test_mirror_appends_mirrored_copies_of_the_same_people(ten: Path) -> None:
    data = folder(ten, mirror=True)
    assert len(data) == 20
    assert data.people == 10
    assert torch.equal(data.labels, torch.arange(10).repeat(2))
    assert torch.equal(data[14]["image"], data[4]["image"].flip(2))
    assert not torch.equal(data[14]["image"], data[4]["image"])
    assert data.pictures_of[4].tolist() == [4, 14]


def test_splits_are_disjoint_complete_and_stable(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i:05}.png").touch()
    train, rest = (folder(tmp_path, split=split, held_out=0.1) for split in ("train", "held_out"))
    assert set(train.files) | set(rest.files) == set(folder(tmp_path, split="all").files)
    assert not set(train.files) & set(rest.files)
    assert 15 <= len(rest) <= 45
    for name in rest.files[:3]:
        (tmp_path / name).rename((tmp_path / name).with_suffix(".jpg"))
    (tmp_path / "00000a.png").touch()
    again = folder(tmp_path, split="held_out", held_out=0.1)
    assert {Path(name).stem for name in rest.files} <= {Path(name).stem for name in again.files}


@pytest.mark.parametrize("name", ["image_folder", "identity_folder"])
def test_no_index_by_its_word_leaves_no_file(ten: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ten)
    assert len(smoothswap.build(name, folder=str(ten), image_size=16, split="all", index="none")) == 10
    assert not (ten / "none").exists()


def test_links_to_folders_are_followed_once(ten: Path) -> None:
    (ten / "01" / "round").symlink_to(ten)
    (ten / "02" / "again").symlink_to(ten / "00")
    assert len(folder(ten)) == 10


def test_broken_file_is_replaced_counted_and_told_once(ten: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = ten / "00" / "2.png"
    broken.write_bytes(broken.read_bytes()[:40])
    data = folder(ten)
    assert data.broken == []
    with caplog.at_level(logging.WARNING):
        items = [data[2] for _ in range(3)]
    assert all(item["person"] == 3 and int(item["image"].max()) == 4 for item in items), "the next one, truthfully"
    assert data.broken == [broken]
    assert len(caplog.records) == 1
    assert str(broken) in caplog.text


def test_the_last_file_is_replaced_by_the_first(ten: Path) -> None:
    (ten / "02" / "9.png").write_bytes(b"")
    assert shown(folder(ten), 9) == 1


def test_mirrored_copy_of_a_broken_file_is_mirrored_too(ten: Path) -> None:
    (ten / "00" / "2.png").write_bytes(b"")
    data = folder(ten, mirror=True)
    assert torch.equal(data[12]["image"], data[3]["image"].flip(2))


def test_all_broken(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(b"nothing")
    data = folder(tmp_path)
    with pytest.raises(InputError, match="none of the 4 pictures in"):
        data[1]
    assert len(data.broken) == 4


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures(tmp_path: Path, count: int, write: Any) -> None:
    for i in range(count):
        write(tmp_path / f"{i}.png", 5)
    with pytest.raises(InputError, match=rf"too few pictures: {count} (?s:.*)at least 2 pictures"):
        folder(tmp_path)


def test_no_folder(tmp_path: Path, write: Any) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        folder(tmp_path / "absent")
    path = write(tmp_path / "a.png", 3)
    with pytest.raises(InputError, match="it is a file"):
        folder(path)


def test_index_outside(ten: Path) -> None:
    data = folder(ten)
    with pytest.raises(ArgumentError, match="there is no picture 10"):
        data[10]
    assert len(list(data)) == 10, "iteration ends"


def test_is_a_component(ten: Path) -> None:
    data = smoothswap.build("image_folder", folder=str(ten), image_size=32, split="all")
    assert data[0]["image"].shape == (3, 32, 32)
