from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError, WorkError
from smoothswap.data.faceworld import FaceWorld
from smoothswap.data.faceworld.cache import SHARD, Shards
from smoothswap.data.faceworld.dataset import to_bytes

SMALL: dict[str, Any] = {
    "image_size": 8,
    "supersample": 1,
    "groups": 2,
    "people_per_group": 2,
    "images_per_person": 3,
    "seed": 4,
}


def world(**options: Any) -> FaceWorld:
    return FaceWorld(FaceWorld.Config(**SMALL | options))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def test_the_dataset_contract() -> None:
    data = world()
    assert len(data) == 12
    assert data.people == 4
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert data.groups.tolist() == [0, 0, 1, 1]
    item = data[4]
    assert item["person"] == 1
    assert item["image"].shape == (3, 8, 8)
    assert item["image"].dtype == torch.uint8
    assert torch.equal(data[-1]["image"], data[11]["image"])


def test_batched_reading_gives_the_same_pictures() -> None:
    data = world()
    for index, item in zip([7, 2], data.__getitems__([7, 2]), strict=True):
        assert (item["image"].int() - data[index]["image"].int()).abs().max() <= 1
        assert item["person"] == int(data.labels[index])


def test_factors_follow_the_order_asked_for() -> None:
    data = world()
    factors = data.factors([5, 0])
    assert torch.equal(factors.identity, data.population.identities[[1, 0]])
    assert torch.equal(data.factors(torch.tensor([0])).pose, factors.pose[1:])


def test_a_picture_does_not_depend_on_how_many_there_are() -> None:
    few, many = world(), world(images_per_person=5, groups=3)
    assert torch.equal(few.factors([4]).expression, many.factors([6]).expression)


def test_the_cache_is_filled_once_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world(cache=str(tmp_path))
    (file,) = files(tmp_path)
    assert np.load(file).shape == (12, 3, 8, 8)
    assert torch.equal(first[3]["image"], world()[3]["image"])
    monkeypatch.setattr(FaceWorld, "draw", lambda *_: pytest.fail("drawn again"))
    second = world(cache=str(tmp_path), workers=3)  # workers do not change the pictures
    assert torch.equal(first[3]["image"], second[3]["image"])


def test_other_options_have_another_cache(tmp_path: Path) -> None:
    first, second = world(cache=str(tmp_path)), world(cache=str(tmp_path), seed=5)
    assert len(files(tmp_path)) == 2
    assert not torch.equal(first[0]["image"], second[0]["image"])


@pytest.mark.parametrize("damage", ["cut short", "no array", "other shape", "missing"])
def test_a_damaged_cache_is_drawn_again(tmp_path: Path, damage: str) -> None:
    before = world(cache=str(tmp_path))[0]["image"]
    (file,) = files(tmp_path)
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:500])
    elif damage == "no array":
        file.write_bytes(b"nonsense")
    elif damage == "other shape":
        np.save(file, np.zeros((12, 3, 4, 4), np.uint8))
    else:
        file.unlink()
    assert torch.equal(world(cache=str(tmp_path))[0]["image"], before)


def count_from(first: int, last: int) -> np.ndarray:
    return np.stack([np.full((3, 2, 2), index % 251, np.uint8) for index in range(first, last)])


def test_only_missing_shards_are_drawn(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "a", 1300, 2, count_from)
    assert shards.drawn == 3
    assert [int(shards.read(index)[0, 0, 0]) for index in (0, 600, 1299)] == [0, 600 % 251, 1299 % 251]
    shards.path(1).unlink()
    again = Shards(tmp_path / "a", 1300, 2, count_from)
    assert again.drawn == 1
    assert int(again.read(600)[2, 1, 1]) == 600 % 251


@pytest.mark.parametrize("error", [WorkError("stopped"), KeyboardInterrupt(), OSError("full")])
def test_finished_shards_survive_a_failure(tmp_path: Path, error: BaseException) -> None:
    drawn: list[int] = []

    def stop_at_the_second(first: int, last: int) -> np.ndarray:
        drawn.append(first // SHARD)
        if len(set(drawn)) > 1:
            raise error
        return count_from(first, last)

    with pytest.raises(type(error)):
        Shards(tmp_path, 1300, 2, stop_at_the_second)
    assert [file.name for file in files(tmp_path)] == [f"{drawn[0]:05}.npy"]
    assert Shards(tmp_path, 1300, 2, count_from).drawn == 2


def test_a_shard_that_another_process_drew_meanwhile_is_not_drawn_again(tmp_path: Path) -> None:
    drawn: list[int] = []

    def beside_another(first: int, last: int) -> np.ndarray:
        if not drawn:
            Shards(tmp_path, 1300, 2, count_from)  # the other process fills the whole cache while this one draws
        drawn.append(first)
        return count_from(first, last)

    shards = Shards(tmp_path, 1300, 2, beside_another)
    assert len(drawn) == 1
    assert [int(shards.read(index)[0, 0, 0]) for index in (0, 600, 1299)] == [0, 600 % 251, 1299 % 251]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(WorkError, match="cannot make the cache folder"):
        world(cache=str(tmp_path / "taken"))


def test_errors() -> None:
    for option, value in (("image_size", 4), ("groups", 0), ("split", "test"), ("seed", -1)):
        with pytest.raises(ConfigError, match=option):
            world(**{option: value})
    with pytest.raises(IndexError, match="picture 12 of 12"):
        world()[12]
    with pytest.raises(ArgumentError, match="floating point"):
        to_bytes(torch.zeros(1, dtype=torch.uint8))


def test_to_bytes_rounds_and_clips() -> None:
    assert to_bytes(torch.tensor([-1.2, -1.0, 0.0, 1.0, 1.5])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("name", ["faceworld", "faceworld_swaps"])
@pytest.mark.parametrize("option", ["groups", "people_per_group"])
@pytest.mark.parametrize("value", [1_000_001, 2**31, 10**400])
def test_as_many_as_reach_the_numbers_of_those_held_out(name: str, option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"option '{option}' of .* cannot be"):
        smoothswap.build(name, **{option: value})
