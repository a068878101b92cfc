from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smoothswap.core.errors import ConfigError
from smoothswap.data.faceworld import Factors, render, swaps
from smoothswap.data.faceworld.dataset import to_bytes
from smoothswap.data.faceworld.swaps import FaceWorldSwaps
from smoothswap.data.sampler import ShuffleSampler

SMALL: dict[str, Any] = {
    "image_size": 16,
    "supersample": 1,
    "groups": 3,
    "people_per_group": 4,
    "pictures_per_person": 3,
    "people_per_scene": 4,
    "seed": 4,
}
N, K, R = 9, 4, 3  # scenes, people in each, pictures of each person
SCENE = ("expression", "pose", "light", "background")


def swap_data(**options: Any) -> FaceWorldSwaps:
    return FaceWorldSwaps(FaceWorldSwaps.Config(**SMALL | options))


@pytest.fixture(scope="module")
def data() -> FaceWorldSwaps:
    return swap_data()


def places(data: FaceWorldSwaps) -> list[tuple[int, int, int]]:
    return [data.pictures_of(index) for index in range(len(data))]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def assert_alike(a: dict[str, Any], b: dict[str, Any]) -> None:
    """The same to a grey level: sums are ordered by the batch that is drawn."""
    assert a.keys() == b.keys()
    for name, value in a.items():
        if isinstance(value, torch.Tensor):
            assert (value.int() - b[name].int()).abs().max() <= 1, name
        else:
            assert value == b[name]


def test_every_pair_of_one_scene_and_every_other_picture_of_the_person_once(data: FaceWorldSwaps) -> None:
    assert len(data) == len(data.labels) == N * K * (K - 1) * (R - 1)
    assert len(set(places(data))) == len(data)
    assert data.people == 12
    assert data.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_the_truth_is_the_sources_person_in_the_targets_scene(data: FaceWorldSwaps) -> None:
    target, source, truth = (data.factors(column) for column in zip(*places(data), strict=True))
    assert torch.equal(truth.identity, source.identity)
    for name in SCENE:
        assert torch.equal(getattr(truth, name), getattr(target, name))
    assert not (target.identity == truth.identity).all(1).any()
    for name in SCENE:
        assert not (getattr(source, name) == getattr(target, name)).all(1).any()


def test_labels_are_the_people_in_the_targets(data: FaceWorldSwaps) -> None:
    factors = data.factors([target for target, _, _ in places(data)])
    assert torch.equal(data.population.identities[data.labels], factors.identity)
    item = data[25]
    target, source, truth = data.pictures_of(25)
    assert item["person"] == data.labels[25] == data.shown[target]
    assert item["source_person"] == data.shown[source] == data.shown[truth]


def test_everybody_is_shown_equally_often_in_different_scenes(data: FaceWorldSwaps) -> None:
    assert data.shown.bincount().tolist() == [R] * 12
    for scene in data.shown.view(N, K):
        assert len(set(scene.tolist())) == K


def test_the_pictures_are_the_renderers_with_its_masks(data: FaceWorldSwaps) -> None:
    item, (target, source, truth) = data[7], data.pictures_of(7)
    drawn = render(data.factors([target, source, truth]), size=16, supersample=1)
    images = to_bytes(drawn.image).int()
    for row, name in enumerate(("image", "source", "truth")):
        assert item[name].dtype == torch.uint8
        assert (item[name].int() - images[row]).abs().max() <= 1
    for name, mask in (("face", drawn.face), ("head", drawn.head)):
        expected = (mask[[0, 2], 0] * 255).round()
        assert item[name].shape == (2, 16, 16)
        assert (item[name] - expected).abs().max() <= 1
        assert expected.amax() == 255, "a mask that is nowhere full would not tell the scale"


def test_together_as_one_by_one_and_from_the_end(data: FaceWorldSwaps) -> None:
    for index, item in zip([30, 2, 30], data.__getitems__([30, 2, 30]), strict=True):
        assert_alike(item, data[index])
    assert_alike(data[-1], data[len(data) - 1])


def test_a_cache_holds_what_would_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: FaceWorldSwaps
) -> None:
    cached = swap_data(cache=str(tmp_path))
    (file,) = files(tmp_path)
    assert np.load(file).shape == (N * K, 5, 16, 16)
    monkeypatch.setattr(FaceWorldSwaps, "draw", lambda *_: pytest.fail("drawn again"))
    again = swap_data(cache=str(tmp_path), workers=3)
    monkeypatch.undo()
    for index in (0, 100, -1):
        assert_alike(cached[index], data[index])
        assert_alike(again[index], cached[index])


@pytest.mark.parametrize("number", ["LOOK", "_SCHEME"])
def test_a_cache_of_another_version_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setattr(swaps, number, getattr(swaps, number) - 1)
    swap_data(cache=str(tmp_path))
    monkeypatch.undo()
    (old,) = files(tmp_path)
    np.save(old, np.full_like(np.load(old), 7))
    fresh = swap_data(cache=str(tmp_path))
    assert len(files(tmp_path)) == 2
    assert not (fresh[0]["image"] == 7).all()


@pytest.mark.parametrize("damage", ["half written", "channels of another", "no array"])
def test_a_damaged_cache_is_drawn_again(tmp_path: Path, damage: str, data: FaceWorldSwaps) -> None:
    swap_data(cache=str(tmp_path))
    (file,) = files(tmp_path)
    if damage == "half written":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "channels of another":
        np.save(file, np.zeros((N * K, 3, 16, 16), np.uint8))
    else:
        file.write_bytes(b"nonsense")
    mended = swap_data(cache=str(tmp_path))
    assert np.load(file).shape == (N * K, 5, 16, 16)
    assert_alike(mended[50], data[50])


def test_look_alikes_come_into_a_scene_together() -> None:
    def alike(look_alikes: int) -> list[int]:
        """How many of a scene's people share their group with another one there, for each scene."""
        world = swap_data(groups=20, people_per_group=4, look_alikes=look_alikes)
        groups = world.groups[world.shown].view(-1, K)
        return ((groups.unsqueeze(1) == groups.unsqueeze(2)).sum(2) > 1).sum(1).tolist()

    assert alike(2) == [K] * (20 * 4 * R // K)
    assert alike(4) == [K] * (20 * 4 * R // K)
    assert sum(alike(1)) < 0.4 * len(alike(1)) * K


def test_held_out_people_are_in_no_picture_of_training(data: FaceWorldSwaps) -> None:
    def identities(split: str) -> set[tuple[float, ...]]:
        return {tuple(row) for row in swap_data(split=split).population.identities.tolist()}

    everybody = [identities(split) for split in ("train", "held_out_people", "held_out_groups")]
    assert len(set().union(*everybody)) == 3 * 12
    held_out = swap_data(split="held_out_people")
    # Their scenes are others as well.
    assert not torch.equal(held_out.factors([0]).pose, data.factors([0]).pose)


def test_the_same_for_any_number_of_processes(data: FaceWorldSwaps) -> None:
    torch.manual_seed(1)
    again = swap_data(workers=2)
    assert torch.equal(again.shown, data.shown)
    assert places(again) == places(data)
    assert not torch.equal(swap_data(seed=5).shown, data.shown)
    whole = ShuffleSampler(len(data), 8, seed=1).batch_at(3)
    halves = [ShuffleSampler(len(data), 8, seed=1, rank=rank, world_size=2).batch_at(3) for rank in (0, 1)]
    assert [*halves[0], *halves[1]] == whole


def test_a_batch_for_the_device_is_what_the_items_are(data: FaceWorldSwaps, tmp_path: Path) -> None:
    indices = [30, 2, -1, 30]
    expected = torch.utils.data.default_collate(data.__getitems__(indices))
    batch = data.batch(indices, torch.device("cpu"))
    assert batch.keys() == expected.keys()
    for name, value in batch.items():
        assert value.dtype == expected[name].dtype
        assert value.shape == expected[name].shape
        assert (value.long() - expected[name].long()).abs().max() <= (0 if "person" in name else 1)
    assert data.draws_on_device
    assert not swap_data(cache=str(tmp_path)).draws_on_device


def test_picture_by_picture(data: FaceWorldSwaps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap_data(cache=str(tmp_path))
    monkeypatch.setattr(FaceWorldSwaps, "draw", lambda *_: pytest.fail("drawn again"))
    singles = swap_data(cache=str(tmp_path), pairs=False)  # the same folder
    monkeypatch.undo()
    assert len(files(tmp_path)) == 1
    assert len(singles) == len(singles.labels) == N * K
    assert torch.equal(singles.labels, data.shown)
    assert torch.equal(singles.groups, data.groups)
    triplet_of = {data.pictures_of(index)[0]: index for index in range(len(data))}
    for picture in range(N * K):
        item, pair = singles[picture], data[triplet_of[picture]]
        assert item.keys() == {"image", "person"}
        assert item["image"].shape == (3, 16, 16)
        assert (item["image"].int() - pair["image"].int()).abs().max() <= 1
        assert item["person"] == pair["person"] == singles.labels[picture]
    together = singles.__getitems__([5, -1, 5])
    for item, picture in zip(together, (5, N * K - 1, 5), strict=True):
        assert_alike(item, singles[picture])
        assert_alike(item, swap_data(pairs=False)[picture])
    for index in (N * K, -N * K - 1):
        with pytest.raises(IndexError):
            singles[index]


def test_what_is_known_is_said_before_anything_is_built(data: FaceWorldSwaps) -> None:
    for pairs in (True, False):
        config = FaceWorldSwaps.Config(**SMALL, pairs=pairs)
        knows = FaceWorldSwaps.knows(config)
        item = FaceWorldSwaps(config)[0]
        assert ("truth" in knows) == ("truth" in item)
        assert ("masks" in knows) == ("face" in item and "head" in item)
        assert "attributes" in knows
    assert torch.equal(data.attributes, data.population.attributes)


def test_factors_are_those_of_the_population(data: FaceWorldSwaps) -> None:
    for picture in (0, 5, 35, 5):  # a scene's draws are kept: the second time as the first
        expected = data.population.scene(picture // K, data.population.identities[data.shown[picture]])
        found = data.factors([picture])
        for name in ("identity", *SCENE):
            assert torch.equal(getattr(found, name), getattr(expected, name))
    assert isinstance(data.factors([]), Factors)
    assert len(data.factors([])) == 0


def test_errors(data: FaceWorldSwaps) -> None:
    with pytest.raises(ConfigError, match=r"12 people cannot be shared out to scenes of 5[\s\S]*multiple"):
        swap_data(people_per_scene=5)
    for option, value in (("pictures_per_person", 1), ("people_per_scene", 1), ("split", "test"), ("look_alikes", 0)):
        with pytest.raises(ConfigError, match=option):
            swap_data(**{option: value})
    for index in (len(data), -len(data) - 1):
        with pytest.raises(IndexError, match=f"triplet {index} of {len(data)}"):
            data[index]
    with pytest.raises(IndexError, match="triplet"):
        data.batch([len(data)], torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_drawn_on_a_gpu(data: FaceWorldSwaps) -> None:
    indices = [30, 2, -1, 30]
    expected = torch.utils.data.default_collate(data.__getitems__(indices))
    batch = data.batch(indices, torch.device("cuda"))
    for name, value in batch.items():
        assert value.device.type == "cuda"
        assert value.dtype == expected[name].dtype
        assert (value.cpu().float() - expected[name].float()).abs().mean() < 0.3, name
