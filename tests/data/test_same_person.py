"""same_person: pairs of one person, mirrored ones on the same side, and broken files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import smoothswap
from smoothswap.data.same_person import SamePersonPairs


def pairs(root: Path, **options: object) -> SamePersonPairs:
    values = {"folder": str(root), "image_size": 16, "held_out": 0.0} | options
    return smoothswap.build("same_person", kind="dataset", **values)  # type: ignore[no-any-return]


def test_the_source_is_another_picture_of_the_target_and_the_truth_the_target(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 3, "b": 1, "c": 2})
    data = pairs(tmp_path)
    assert (len(data), data.people) == (5, 2)
    assert data.labels.tolist() == [0, 0, 0, 1, 1]
    assert [int(data[i]["image"].max()) for i in range(5)] == [1, 2, 3, 21, 22]
    assert [int(data[i]["source"].max()) for i in range(5)] == [2, 3, 1, 22, 21]
    for i in range(5):
        item = data[i]
        assert torch.equal(item["truth"], item["image"])
        assert item["source_person"] == item["person"] == data.labels[i]
    assert data.knows(data.config) == {"truth"}


def test_mirrored_pairs(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 2, "b": 3})
    plain, mirrored = pairs(tmp_path), pairs(tmp_path, mirror=True)
    assert len(mirrored) == 2 * len(plain)
    for i in range(len(plain)):
        for name in ("image", "source", "truth"):
            assert torch.equal(mirrored[i][name], plain[i][name])
            assert torch.equal(mirrored[i + len(plain)][name], plain[i][name].flip(2))


def test_a_target_without_a_second_readable_picture_is_its_own_source(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "0001.png").write_bytes(b"broken")
    item = pairs(tmp_path)[0]
    assert torch.equal(item["source"], item["image"])
    for file in (tmp_path / "a").iterdir():
        file.write_bytes(b"broken")
    data = pairs(tmp_path)
    item = data[1]
    assert item["person"] == item["source_person"] == 1
    assert len(data.broken) == 2


def test_a_tight_crop(tmp_path: Path, write: Any) -> None:
    for person in "ab":
        for number in range(2):
            write(tmp_path / person / f"{number}.png", 50 + number, (32, 32))
    item = pairs(tmp_path, image_size=24, crop_scale=0.75)[0]
    assert item["source"].shape == item["image"].shape == (3, 24, 24)
    assert int(item["source"].max()) == 51
