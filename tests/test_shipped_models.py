"""Models by folder and by name: what `--model` takes, and what it says where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

import smoothswap
from smoothswap.api import MODEL_FILES, SHIPPED_MODELS, model_files
from smoothswap.core.assets import ROOT
from smoothswap.core.errors import InputError
from smoothswap.modules import weights
from smoothswap.modules.pretrained import embedder_path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMOOTHSWAP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def tiny(path: Path, **notes: str) -> Path:
    """A generator for identities as long as `sface`'s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"image_size": 16, "base_channels": 8, "channel_multipliers": (1, 1), "attention_resolutions": ()}
    generator = smoothswap.build("smooth_unet", kind="generator", identity_dim=128, **options)
    return weights.save(generator, path, notes=notes)


@pytest.mark.usefixtures("here")
def test_models_that_ship_have_names() -> None:
    assert model_files("faceworld_64") == tuple(ROOT / "faceworld_64" / name for name in MODEL_FILES)
    generator, embedder = model_files(None)
    assert generator == ROOT / SHIPPED_MODELS[0] / MODEL_FILES[0]
    assert embedder == "sface"
    for name in SHIPPED_MODELS:
        generator, embedder = model_files(name)
        assert smoothswap.load(generator).identity_dim == smoothswap.load(embedder_path(embedder)).dim


def test_a_folder_of_that_name_comes_first_where_it_was_named(here: Path) -> None:
    for model in SHIPPED_MODELS:
        for name in MODEL_FILES:
            tiny(here / model / name)
        assert model_files(model)[0].resolve() == here / model / MODEL_FILES[0]
    assert model_files(None)[0] == ROOT / SHIPPED_MODELS[0] / MODEL_FILES[0]


@pytest.mark.usefixtures("here")
def test_an_installation_without_its_models_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("smoothswap.core.assets.ROOT", tmp_path / "nothing")
    for model in (None, *SHIPPED_MODELS):
        with pytest.raises(InputError, match="this installation holds no") as refused:
            model_files(model)
        assert "reinstall" in refused.value.hint


def test_a_generator_may_name_its_embedder(here: Path) -> None:
    file = tiny(here / "mine" / MODEL_FILES[0], embedder="sface")
    assert model_files(here / "mine")[0] == file
    assert model_files(here / "mine")[1] == "sface"
    tiny(here / "mine" / MODEL_FILES[1])
    assert model_files(here / "mine")[1] == here / "mine" / MODEL_FILES[1], "its own file comes first"


def test_what_is_missing_is_named_with_the_models_that_ship(here: Path) -> None:
    tiny(here / "mine" / MODEL_FILES[0])
    with pytest.raises(InputError, match=r"missing: embedder\.safetensors") as refused:
        model_files(here / "mine")
    assert all(name in refused.value.hint for name in SHIPPED_MODELS)
    with pytest.raises(InputError, match="no model in 'photos_129'"):
        model_files("photos_129")
