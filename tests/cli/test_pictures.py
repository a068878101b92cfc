"""`swap` and `inspect` on the command line: their options reach the pipeline, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smoothswap
from smoothswap import api
from smoothswap.modules import weights
from smoothswap.pipeline.paste import FEATHER

Run = Callable[..., Any]
ASTRONAUT = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.jpg"
REMARK = "the model was trained on rendered heads of {} px: not for photographs"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {"keep_detail": True, "colour_transfer": False, "feather": FEATHER}),
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
