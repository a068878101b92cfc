"""Model files: what goes in comes out, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import smoothswap
from smoothswap.core import catalogue
from smoothswap.core.assets import shipped
from smoothswap.core.catalogue import Catalogue, build, register
from smoothswap.core.component import Component
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError, CheckpointError, InputError, UnknownNameError
from smoothswap.modules import weights
from smoothswap.training.checkpoint import LAST, save_checkpoint


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _NoOptions(Options):
    pass


class Adalin:
    """An injection of a plugin."""

    Config = _NoOptions


class Uses(Tiny):
    """A model whose option names another component."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Tiny.Config):
        injection: str = option("add", "a component")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        catalogue.CATALOGUE.find(config.injection, "injection")


def _row(kind: str, name: str, target: type, provider: str) -> Component:
    return Component(kind=kind, name=name, target=target, summary="", provider=provider)


@pytest.mark.parametrize(
    ("own", "injection", "missing"),
    [
        ("smoothswap", "smoothswap-adalin", "smoothswap-adalin"),
        ("plugin-of-uses", "smoothswap", "plugin-of-uses"),
        ("plugin-of-uses", "smoothswap-adalin", "plugin-of-uses, smoothswap-adalin"),
    ],
)
def test_the_packages_of_a_model_are_named_where_they_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, injection: str, missing: str
) -> None:
    catalogue.CATALOGUE.add(_row("generator", "uses", Uses, own))
    catalogue.CATALOGUE.add(_row("injection", "adalin", Adalin, injection))
    file = weights.save(build("uses", injection="adalin"), tmp_path / "a.safetensors")
    assert weights.read_header(file)["provider"] == own
    assert weights.load(file).config.injection == "adalin"
    monkeypatch.setattr(catalogue, "CATALOGUE", Catalogue())
    if own == "smoothswap":
        catalogue.CATALOGUE.add(_row("generator", "uses", Uses, own))
    with pytest.raises(UnknownNameError) as error:
        weights.load(file)
    text = str(error.value)
    assert f"the generator 'uses' in {str(file)!r} cannot be built" in text
    assert f"the provider {own!r}" in text
    assert text.endswith(f"install or load what provides it: {missing}")


def test_a_component_that_an_option_happens_to_be_called_like_is_not_needed(tmp_path: Path) -> None:
    catalogue.CATALOGUE.add(_row("generator", "uses", Uses, "smoothswap"))
    catalogue.CATALOGUE.add(_row("loss", "add", Adalin, "smoothswap-of-a-loss"))
    assert "packages" not in weights.read_header(weights.save(build("uses"), tmp_path / "a.safetensors"))


def test_options_of_another_version_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    header = {"kind": "embedder", "name": "tiny", "provider": "smoothswap", "config": {"widht": 3}}
    save_file({"w": torch.ones(1)}, file, metadata={weights.KEY: json.dumps(header)})
    with pytest.raises(UnknownNameError, match=r"'tiny' in '.*a.safetensors' cannot be built: .*'widht'"):
        weights.load(file)


@pytest.mark.parametrize(
    ("content", "says", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer of", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><title>404</title>", "an HTML page", "not the page"),
        (b"<html lang=en>", "an HTML page", "not the page"),
        (b"<?xml version='1.0'?><Error>AccessDenied", "an XML document", "download"),
        (pickle.dumps({"a": 1}), "a pickle", "smoothswap convert"),
        (b"", "an empty file", "fetch it again"),
        (b"\x1f\x8b\x08\x00abc", "a gzip archive", "unpack"),
    ],
)
def test_a_file_that_is_something_else_says_what_it_is(tmp_path: Path, content: bytes, says: str, hint: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"cannot be read as safetensors: it is {says}") as error:
        weights.load(tmp_path / "a.safetensors")
    assert hint in error.value.hint


def test_a_file_of_torch_save_called_safetensors(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"it is a zip archive as torch.save writes it[\s\S]*smoothswap convert"):
        weights.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("file", "kind", "says"),
    [
        ("faceworld_64/embedder", "generator", "is no generator: it holds the embedder 'small_resnet'"),
        ("photos_128/generator", "embedder", "is no embedder: it holds the generator 'smooth_unet"),
        ("faceworld_64/judge", "discriminator", "is no discriminator: it holds the embedder"),
    ],
)
def test_a_model_of_another_kind_is_refused_with_both_kinds(file: str, kind: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        smoothswap.load(shipped(f"{file}.safetensors"), kind=kind)


def test_files_that_are_no_model_say_what_they_are(tmp_path: Path) -> None:
    save_checkpoint({"images": torch.zeros(1)}, tmp_path)
    with pytest.raises(CheckpointError, match="is the checkpoint of a training, no model"):
        smoothswap.load(tmp_path / LAST)
    for name, content in (("weights.pth", b"\xff\xd8\xff\xe0 a JPEG"), ("face.jpg", b"something else")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="name a file of weights; `smoothswap convert`"):
            smoothswap.load(tmp_path / name)


def _with_header(path: Path, text: str) -> Path:
    save_file({"linear.weight": torch.zeros(2, 3), "linear.bias": torch.zeros(2)}, path, metadata={weights.KEY: text})
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": "abc"}, "config cannot be 'abc'"),
        ({"config": [1]}, "config cannot be [1]"),
        ({"name": 3}, "name cannot be 3"),
        ({"kind": None}, "kind cannot be None"),
        ({"notes": "text"}, "notes cannot be 'text'"),
        ({"versions": ["1"]}, "versions cannot be ['1']"),
        ({"packages": {"a": 1}}, "packages cannot be {'a': 1}"),
    ],
)
def test_fields_of_a_header_have_their_types(tmp_path: Path, change: dict[str, object], named: str) -> None:
    header = {"kind": "embedder", "name": "small_resnet", "config": {}, **change}
    with pytest.raises(CheckpointError, match="header of .* is damaged") as error:
        weights.read_header(_with_header(tmp_path / "x.safetensors", json.dumps(header)))
    assert named in str(error.value)


@pytest.mark.parametrize("text", ["[1, 2]", '"kind"', "3", "null", "[" * 100_000, "{", ""])
def test_a_header_that_is_no_object(tmp_path: Path, text: str) -> None:
    with pytest.raises(CheckpointError, match="does not say which model it holds"):
        weights.read_header(_with_header(tmp_path / "x.safetensors", text))


@pytest.mark.parametrize("option", ["name", "kind", "self", "options"])
def test_options_called_like_arguments_of_build(tmp_path: Path, option: str) -> None:
    header = {"kind": "embedder", "name": "small_resnet", "config": {option: 1}}
    with pytest.raises(UnknownNameError, match=f"unknown option '{option}'"):
        weights.load(_with_header(tmp_path / "x.safetensors", json.dumps(header)))
