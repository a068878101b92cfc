from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from smoothswap.core.errors import CheckpointError, InputError
from smoothswap.modules.foreign_weights import check_file_sha256, read_foreign

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2)}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"state_dict": STATE, "epoch": 3},
        {"epoch": 3, "model": {"state_dict": STATE}, "optimizer": {"lr": 0.1}},
        {"state_dict_backbone": {f"module.{name}": value for name, value in STATE.items()}},
        {f"_orig_mod.module.{name}": value for name, value in STATE.items()},
    ],
)
def test_common_wrappings(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "weights.pth")
    found = read_foreign(tmp_path / "weights.pth")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    save_file(state, tmp_path / "weights.safetensors")
    assert read_foreign(tmp_path / "weights.safetensors").keys() == state.keys()


def test_older_files_of_torch(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "weights.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read_foreign(tmp_path / "weights.pt")["conv.weight"], STATE["conv.weight"])


class Runs:
    """A pickle of it calls a function where it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "was_run"
    torch.save({**STATE, "x": Runs(mark)}, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"would run code[\s\S]*torch\.save\(model\.state_dict\(\)"):
        read_foreign(tmp_path / "weights.pth")
    assert not mark.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"would run code[\s\S]*torch\.nn\.modules\.linear\.Linear"):
        read_foreign(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["weights.pth", "old.pth", "weights.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_truncated(tmp_path: Path, name: str, share: float) -> None:
    file = tmp_path / name
    state = {"w": torch.rand(500)}
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=name != "old.pth")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"cannot be read as[\s\S]*damaged or incomplete"):
        read_foreign(file)


@pytest.mark.parametrize("name", ["a.pth", "a.bin", "a.safetensors"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer of [0-9]+ bytes"),
        (b"<!doctype HTML>", "an HTML page"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
    ],
)
def test_what_a_file_is_instead(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"it is {says}"):
        read_foreign(tmp_path / name)


def test_safetensors_with_the_suffix_of_torch(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"it is a safetensors file[\s\S]*suffix .safetensors"):
        read_foreign(tmp_path / "a.pth")


def test_other_contents(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights": [1, 2]}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"holds no state dict\n  it holds: epoch, weights"):
        read_foreign(tmp_path / "a.pth")
    torch.save(torch.ones(2), tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="it holds: a Tensor"):
        read_foreign(tmp_path / "b.pth")
    (tmp_path / "c.h5").touch()
    with pytest.raises(InputError, match="no known format"):
        read_foreign(tmp_path / "c.h5")
    with pytest.raises(InputError, match="no file"):
        read_foreign(tmp_path / "none.pth")


def test_sha256(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"smooth")
    digest = hashlib.sha256(b"smooth").hexdigest()
    assert check_file_sha256(file, None) == check_file_sha256(file, f"  {digest.upper()} ") == digest
    with pytest.raises(CheckpointError, match=rf"expected: {'0' * 64}[\s\S]*found:    {digest} \(6 bytes\)"):
        check_file_sha256(file, "0" * 64)
    with pytest.raises(InputError, match="no SHA-256"):
        check_file_sha256(file, digest[:40])
