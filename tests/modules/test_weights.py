"""Model files: what goes in comes out, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from smoothswap.core import catalogue
from smoothswap.core.catalogue import Catalogue, build, register
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError, CheckpointError, InputError, UnknownNameError
from smoothswap.modules import weights


class Tiny(nn.Module):
    """A linear layer with a name."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Options):
        width: int = option(3, "features", at_least=1)
        shape: tuple[int, ...] = option((1, 2), "a tuple, which JSON does not have")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.width, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(x)
        return result


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "CATALOGUE", Catalogue())
    register("tiny", kind="embedder")(Tiny)


def test_round_trip(tmp_path: Path) -> None:
    model = build("tiny", width=5)
    again = weights.load(weights.save(model, tmp_path / "a.safetensors"))
    assert again.config == model.config
    assert torch.equal(again.linear.weight, model.linear.weight)
    assert not again.training


def test_half_precision_file_loads_as_float32(tmp_path: Path) -> None:
    model = build("tiny")
    again = weights.load(weights.save(model, tmp_path / "a.safetensors", dtype=torch.float16))
    assert again.linear.weight.dtype == torch.float32
    assert torch.equal(again.linear.weight, model.linear.weight.half().float())


def test_module_that_was_not_built_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="not built by name"):
        weights.save(nn.Linear(1, 1), tmp_path / "a.safetensors")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model file"):
        weights.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        weights.load(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = weights.save(build("tiny"), tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="cannot be read"):
        weights.load(path)


def test_safetensors_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="does not say which model"):
        weights.load(path)


def test_other_shapes_are_named(tmp_path: Path) -> None:
    state = build("tiny", width=5).state_dict()
    state["extra"] = state.pop("linear.bias")
    with pytest.raises(CheckpointError) as caught:
        weights.load_into(build("tiny"), state, where="a file")
    text = str(caught.value)
    assert "missing: linear.bias (2,)" in text
    assert "unexpected: extra (2,)" in text
    assert "shape of linear.weight: (2, 5) in the file, (2, 3) in the model" in text


def test_model_of_a_plugin_that_is_not_installed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    header = {"kind": "embedder", "name": "tinny", "config": {}}
    save_file({"x": torch.zeros(1)}, path, metadata={"smoothswap": json.dumps(header)})
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        weights.load(path)
