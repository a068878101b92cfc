"""The loader: batches, worker processes, and exact resumption."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smoothswap.core.errors import ConfigError, InputError, WorkError
from smoothswap.data.identity_folder import IdentityFolder
from smoothswap.data.loader import Loader
from smoothswap.data.sampler import PKSampler, ShuffleSampler


class Numbers(Dataset[dict[str, Any]]):
    """Picture i is filled with i."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.full((3, 4, 4), index, dtype=torch.uint8), "person": index // 3}


class Deadly(Numbers):
    """Its process is killed by the first picture."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        time.sleep(0.2)  # until the parent waits
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def loader(workers: int = 0, dataset: Dataset[dict[str, Any]] | None = None) -> Loader:
    return Loader(dataset or Numbers(), ShuffleSampler(12, 5, seed=4), workers=workers)


def seen(loader: Loader, batches: int) -> list[list[int]]:
    return [batch["image"][:, 0, 0, 0].tolist() for batch in itertools.islice(loader, batches)]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_sampler(workers: int) -> None:
    data = loader(workers)
    batch = next(data)
    assert batch["image"].shape == (5, 3, 4, 4)
    assert batch["image"].dtype == torch.uint8
    assert batch["person"].dtype == torch.int64
    assert torch.equal(batch["person"], batch["image"][:, 0, 0, 0].long() // 3)
    expected = [ShuffleSampler(12, 5, seed=4).batch_at(i) for i in range(1, 9)]
    assert seen(data, 8) == expected
    data.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_state_belongs_to_the_last_batch_given(workers: int) -> None:
    data = loader(workers)
    seen(data, 3)
    state = data.state()
    assert state["position"] == 3, "not as far as the workers have read ahead"
    expected = seen(data, 4)
    again = loader(0)
    again.restore(state)
    assert seen(again, 4) == expected
    data.restore(state)
    assert seen(data, 4) == expected, "a loader that runs can be sent back"
    data.close()


def test_closing_keeps_the_position() -> None:
    data = loader()
    first = seen(data, 2)
    data.close()
    assert first + seen(data, 2) == seen(loader(), 4)


def test_global_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    seen(loader(), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_folder_with_a_broken_file_and_workers(tmp_path: Path, people: Any) -> None:
    people(tmp_path, {"a": 3, "b": 3, "c": 3})
    (tmp_path / "b" / "0001.png").write_bytes(b"")
    dataset = IdentityFolder(IdentityFolder.Config(folder=str(tmp_path), image_size=16, held_out=0.0))
    data = Loader(dataset, PKSampler(dataset.labels, 3, 3), workers=2)
    for batch in itertools.islice(data, 3):
        labels: Tensor = batch["person"]
        assert labels.view(3, 3).eq(labels.view(3, 3)[:, :1]).all()
    assert dataset.broken == [tmp_path / "b" / "0001.png"], "what a worker found is known here"
    data.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_our_errors_come_through_as_they_are(tmp_path: Path, workers: int, people: Any) -> None:
    people(tmp_path, {"a": 2, "b": 2})
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    dataset = IdentityFolder(IdentityFolder.Config(folder=str(tmp_path), image_size=16, held_out=0.0))
    data = Loader(dataset, ShuffleSampler(len(dataset), 2), workers=workers)
    with pytest.raises(InputError) as caught:
        next(data)
    assert str(caught.value).startswith("none of the 4 pictures in")
    assert caught.value.hint == "check the files, or name another folder"
    assert "Traceback" not in str(caught.value)


def test_a_killed_worker_is_reported() -> None:
    data = loader(1, Deadly())
    with pytest.raises(WorkError, match="a process that reads pictures died") as caught:
        next(data)
    assert caught.value.exit_code == 1
    assert "DataLoader worker" in caught.value.facts[0]


def test_errors() -> None:
    with pytest.raises(ConfigError, match="-1 workers"):
        loader(-1)
