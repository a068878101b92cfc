"""Runs over the catalogue: a component is tested the day it is registered."""

from __future__ import annotations

import dataclasses

import pytest

import smoothswap
from smoothswap.core.component import Component
from smoothswap.core.config import Options

# Not those that other tests register.
ROWS = [row for row in smoothswap.available() if row.provider == "smoothswap"]


def _name(row: Component) -> str:
    return f"{row.kind}:{row.name}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_target_exists_and_explains_itself(row: Component) -> None:
    cls = row.resolve()
    assert (cls.__doc__ or "").strip(), "the class needs a docstring"
    assert row.summary
    assert not row.summary.endswith(".")


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_options_are_frozen_keyword_only_and_documented(row: Component) -> None:
    config = row.resolve().Config
    assert issubclass(config, Options)
    assert config.__dataclass_params__.frozen
    for field in dataclasses.fields(config):
        assert field.kw_only, field.name
        assert field.metadata.get("help"), f"option {field.name} needs a help text"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_preset_defaults_are_valid(row: Component) -> None:
    cls = row.resolve()
    required = {info.name for info in cls.Config.infos() if info.required}
    if required <= set(row.defaults):
        cls.Config.make(row.defaults)
    else:
        assert not set(row.defaults) - {info.name for info in cls.Config.infos()}


def test_a_model_survives_its_file(tmp_path: object) -> None:
    import torch

    from smoothswap.modules import weights

    model = smoothswap.build("small_resnet", input_size=32, dim=16).eval()
    path = weights.save(model, f"{tmp_path}/model.safetensors", notes={"images": 3})
    again = smoothswap.load(path)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(model(images), again(images))
    assert again.config == model.config
    header, _ = weights.read(path)
    assert header["notes"] == {"images": 3}
    assert header["name"] == "small_resnet"


MODELS = [row for row in ROWS if row.kind in ("generator", "discriminator", "embedder") and row.name != "dlib_resnet"]


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # weights that a model brings along
@pytest.mark.parametrize("row", MODELS, ids=_name)
def test_a_model_is_built_where_the_program_wants_it(row: Component) -> None:
    import torch

    with torch.device("meta"):  # it stands for a GPU
        model = smoothswap.build(row.name, kind=row.kind).eval()
        size = getattr(model.config, "image_size", None) or model.expects.size
        images = torch.rand(2, 3, size, size)
        result = model(images, torch.rand(2, model.identity_dim)) if row.kind == "generator" else model(images)
    named = [*model.named_parameters(), *model.named_buffers()]
    assert [name for name, tensor in named if tensor.device.type != "meta"] == []
    assert result.device.type == "meta"
    assert result.shape[0] == 2


@pytest.mark.parametrize("name", ["adagn", "adain", "add", "modulated"])
def test_an_injection_is_built_where_the_program_wants_it(name: str) -> None:
    import torch

    with torch.device("meta"):
        model = smoothswap.build(name, kind="injection", channels=8, embedding_dim=4)
    assert {tensor.device.type for tensor in [*model.parameters(), *model.buffers()]} == {"meta"}
