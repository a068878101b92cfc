"""`swap` and `inspect` on the command line: their options reach the pipeline, and what they say."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import smoothswap
from smoothswap import api
from smoothswap.core.assets import ROOT
from smoothswap.modules import weights
from smoothswap.pipeline.paste import FEATHER

Run = Callable[..., Any]
ASTRONAUT = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.jpg"
REMARK = "the model was trained on rendered heads of {} px: not for photographs"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {"keep_detail": True, "colour_transfer": False, "feather": FEATHER}),
        (["--marker", "words"], {"mark": True, "marker": "words"}),
        (["--no-mark"], {"mark": False, "marker": "iptc"}),
        (["--no-keep-detail", "--feather", "0"], {"keep_detail": False, "colour_transfer": False, "feather": 0.0}),
        (["--colour-transfer", "--feather", "0.5"], {"keep_detail": True, "colour_transfer": True, "feather": 0.5}),
    ],
)
def test_options_reach_the_pipeline(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], given: dict[str, object]
) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr(api, "swap", lambda *_, **options: seen.update(options))
    assert run("swap", "a.png", "b.png", "-o", "c.png", *words).code == 0
    assert {name: seen[name] for name in given} == given


def test_a_marker_that_is_none(run: Run, tmp_path: Path) -> None:
    outcome = run("inspect", ASTRONAUT, "--marker", "itpc")
    assert outcome.code == 2
    assert "Did you mean 'iptc'" in outcome.err
    outcome = run("swap", ASTRONAUT, ASTRONAUT, "-o", tmp_path / "out.png", "--marker", "iptv")
    assert outcome.code == 2
    assert "unknown marker 'iptv'" in outcome.err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("feather", ["0.6", "-0.1"])
def test_a_feather_that_cannot_be(run: Run, feather: str) -> None:
    outcome = run("swap", "a.png", "b.png", "-o", "c.png", "--feather", feather)
    assert outcome.code == 2
    assert "--feather" in outcome.err


def generator(folder: Path, size: int, notes: dict[str, object]) -> Path:
    options = {"image_size": size, "base_channels": 8, "channel_multipliers": (1, 1), "attention_resolutions": ()}
    model = smoothswap.build("smooth_unet", kind="generator", identity_dim=128, **options)
    folder.mkdir()
    weights.save(model, folder / "generator.safetensors", notes={"embedder": "sface", **notes})
    return folder


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (["faceworld"], REMARK.format(16)),
        (["faceworld_swaps", "faceworld"], REMARK.format(16)),
        (["faceworld", "image_folder"], ""),
        (["identity_folder"], ""),
        ([], ""),
    ],
)
def test_a_model_of_rendered_heads_says_so(run: Run, tmp_path: Path, data: list[str], remark: str) -> None:
    model = generator(tmp_path / "model", 16, {"recipe": "faceworld_64", "data": data})
    outcome = run("swap", ASTRONAUT, ASTRONAUT, "-o", tmp_path / "out.png", "--model", model)
    assert outcome.code == 0
    assert ("rendered heads" in outcome.out) is bool(remark)
    assert remark in outcome.out


@pytest.mark.parametrize(("model", "remark"), [("faceworld_64", REMARK.format(64)), ("photos_128", "")])
def test_the_models_that_ship(tmp_path: Path, model: str, remark: str) -> None:
    assert api.swap(ASTRONAUT, ASTRONAUT, tmp_path / "out.png", model=model).remark == remark


def test_a_video_as_a_picture(run: Run, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(64))
    outcome = run("swap", ASTRONAUT, tmp_path / "film.mp4", "-o", tmp_path / "out.png")
    assert outcome.code == 2
    assert "is a video (MP4 or QuickTime), not a picture" in outcome.err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (
            "photos_128/generator",
            ["generator smooth_unet_64_blend of smoothswap", "embedder: sface", "image_size: 128"],
        ),
        ("faceworld_64/embedder", ["embedder small_resnet of smoothswap", "widths: [48, 96, 192, 256]"]),
        ("faceworld_64/judge", ["embedder small_resnet of smoothswap", "recipe: faceworld_64_judge"]),
    ],
)
def test_inspect_describes_a_model_file(run: Run, file: str, says: list[str]) -> None:
    outcome = run("inspect", ROOT / f"{file}.safetensors")
    assert outcome.code == 0
    for text in says:
        assert text in outcome.out
    model = smoothswap.load(ROOT / f"{file}.safetensors")
    state = model.state_dict()
    assert f"{sum(value.numel() for value in state.values()):,} numbers in {len(state)} tensors" in outcome.out
    assert f"\nfile_sha256: {hashlib.sha256((ROOT / f'{file}.safetensors').read_bytes()).hexdigest()}\n" in outcome.out
    assert f"\nweights_fingerprint: {weights.weights_fingerprint(model)}\n" in outcome.out
    assert '"sha256"' not in outcome.out
    assert "embedder_sha256" not in outcome.out


def test_inspect_of_a_model_file_of_another_name_and_of_others(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "weights.bin"
    shutil.copyfile(ROOT / "faceworld_64" / "judge.safetensors", copy)
    assert "embedder small_resnet" in run("inspect", copy).out
    save_file({"w": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    outcome = run("inspect", tmp_path / "foreign.safetensors")
    assert outcome.code == 2
    assert "does not say which model it holds" in outcome.err
    assert "no model file" in run("inspect", tmp_path / "none.safetensors").err
