"""Checkpoints: any tree of plain values and tensors, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from smoothswap.core.errors import CheckpointError, WorkError
from smoothswap.training import checkpoint
from smoothswap.training.checkpoint import LAST, PREVIOUS, load_checkpoint, read_checkpoint, save_checkpoint


def test_every_kind_of_value_comes_back(tmp_path: Path) -> None:
    shared = torch.arange(6.0).view(2, 3)
    state = {
        "numbers": {0: 1, 1: 0.1 + 0.2, 2: None, 3: True, 4: "text"},
        "views": [shared, shared.t(), torch.zeros(1, 3, 2, 2).contiguous(memory_format=torch.channels_last)],
        "odd": {"scalar": torch.tensor(3), "empty": torch.zeros(0, 4), "half": torch.ones(2, dtype=torch.bfloat16)},
        "bits": torch.tensor([True, False]),
    }
    back = read_checkpoint(save_checkpoint(state, tmp_path))
    assert back["numbers"] == state["numbers"]
    for kept, now in zip(state["views"], back["views"], strict=True):
        assert torch.equal(kept, now)  # type: ignore[arg-type]
    for key, kept in state["odd"].items():  # type: ignore[union-attr]
        assert torch.equal(kept, back["odd"][key])  # type: ignore[arg-type]
        assert kept.dtype == back["odd"][key].dtype  # type: ignore[union-attr]


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        save_checkpoint({"images": number}, tmp_path)
    assert read_checkpoint(tmp_path / LAST)["images"] == 3
    assert read_checkpoint(tmp_path / PREVIOUS)["images"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [LAST, PREVIOUS]


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    save_checkpoint({"w": torch.zeros(100), "images": 1}, tmp_path)
    save_checkpoint({"w": torch.zeros(100), "images": 2}, tmp_path)
    data = bytearray((tmp_path / LAST).read_bytes())
    data[-7] ^= 1
    (tmp_path / LAST).write_bytes(data)
    state, faults = load_checkpoint(tmp_path)
    assert state["images"] == 1
    assert "checksum" in faults[0]


def test_no_good_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path)
    (tmp_path / LAST).write_bytes(b"")
    save_file({"w": torch.zeros(1)}, tmp_path / PREVIOUS)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path)
    assert "damaged" in str(error.value)
    assert "no checkpoint of a training" in str(error.value)


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint({"images": 1}, tmp_path)

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise checkpoint.SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(WorkError, match="No space left"):
        save_checkpoint({"images": 2}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
    assert read_checkpoint(tmp_path / LAST)["images"] == 1


def test_what_cannot_be_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="work/thing of type object"):
        save_checkpoint({"work": {"thing": object()}}, tmp_path)


def _rewritten(path: Path, **metadata: str | None) -> None:
    with safe_open(path, framework="pt") as file:
        old, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    kept = {key: value for key, value in {**old, **metadata}.items() if value is not None}
    save_file(tensors, path, metadata=kept)


def test_a_changed_number_of_the_state_is_damage(tmp_path: Path) -> None:
    save_checkpoint({"images": 1, "w": torch.ones(2)}, tmp_path)
    path = save_checkpoint({"images": 64, "w": torch.ones(2)}, tmp_path)
    content = path.read_bytes()
    assert content.count(b": 64}") == 1
    path.write_bytes(content.replace(b": 64}", b": 96}"))
    with pytest.raises(CheckpointError, match="checksum does not match its state"):
        read_checkpoint(path)
    state, faults = load_checkpoint(tmp_path)
    assert (state["images"], len(faults)) == (1, 1)


def test_a_state_without_a_sum_is_read_as_earlier_versions_wrote_it(tmp_path: Path) -> None:
    path = save_checkpoint({"images": 64}, tmp_path)
    _rewritten(path, state_crc32=None)
    assert read_checkpoint(path) == {"images": 64}


@pytest.mark.parametrize(
    "text",
    [
        "[]", "3", "{}", '{"format": 1}', '{"format": 1, "state": []}', '{"format": 1, "state": {"tensor": "no"}}',
        '{"format": 1, "state": {"dict": [[1]]}}', '{"format": 1, "state": {"dict": 3}}', "[" * 100_000,
        '{"format": 1, "state": {"value": 3}}', '{"format": 1, "state": {"dict": [[[], {"value": 1}]]}}',
    ],
)  # fmt: skip
def test_a_state_that_is_no_tree(tmp_path: Path, text: str) -> None:
    path = save_checkpoint({"images": 1}, tmp_path)
    _rewritten(path, smoothswap_training=text, state_crc32=None)
    with pytest.raises(CheckpointError, match="holds no state of a training"):
        read_checkpoint(path)
