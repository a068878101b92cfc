"""`train embedder` and `embed` by their words."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aligned import write_people
from PIL import Image

import smoothswap
from smoothswap.core.assets import shipped
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.config import Options, option
from smoothswap.data.faceworld.cache import Shards
from smoothswap.data.faceworld.dataset import FaceWorld
from smoothswap.training.checkpoint import read_checkpoint
from smoothswap.training.loop import Loop

Run = Callable[..., Any]
TINY = {
    "image_size": 16, "data.name": "test_colours", "validation.name": "test_colours", "images": 32,
    "people_per_batch": 4, "images_per_person": 2, "embedder.dim": 8, "embedder.widths": "8,8",
    "embedder.blocks": "1,1", "embedder.flat_channels": 4, "embedder.hidden": 16, "warmup_images": 0,
    "validate_every": 16,
}  # fmt: skip


def words(out: Path, *more: object, **changed: object) -> list[object]:
    changes = [word for key, value in (TINY | changed).items() for word in ("--set", f"{key}={value}")]
    return ["train", "embedder", "--out", out, "--accelerator", "cpu", "--no-progress", *changes, *more]


class Centred(torch.nn.Module):
    """A loss as a plugin would bring it: pictures of one person to their mean, with weights of its own."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        people: int = option(help="number of people")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.weight = torch.nn.Parameter(torch.ones(config.people))

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        means = torch.stack([z[labels == label].mean(0) for label in labels])
        return (self.weight[labels] * (z - means).square().sum(1)).mean()


def test_loss_by_name_and_what_is_told_at_the_end(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("training.tiny")  # here and not above: tests that go over the catalogue are not to see it
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)
    smoothswap.register("test_centred", kind="loss", summary="to the mean")(Centred)
    outcome = run(*words(tmp_path / "run", "--loss", "triplet"))
    assert outcome.code == 0
    assert f"wrote {tmp_path / 'run' / 'embedder.safetensors'} (last: auc " in outcome.out
    assert f"wrote {tmp_path / 'run' / 'embedder-best.safetensors'} (best: auc " in outcome.out
    assert '"triplet"' in (tmp_path / "run" / "recipe.json").read_text()
    outcome = run(*words(tmp_path / "plugin", "--loss", "test_centred"))
    assert outcome.code == 0
    state = read_checkpoint(tmp_path / "plugin" / "checkpoint-last.safetensors")
    weight = state["work"]["loss"]["weight"]
    assert weight.shape == (6,)
    assert not torch.equal(weight, torch.ones(6))
    again = run(*words(tmp_path / "run", "--loss", "softmax", "--resume"))
    assert again.code == 2
    assert "another recipe" in again.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--loss", "supkon"], "Did you mean 'supcon'"),
        (["--loss", "triplet", "--set", "loss.name=softmax"], "loss.name cannot be both 'triplet' and 'softmax'"),
        (["--data", "nowhere"], "there is no folder 'nowhere'"),
        (["--set", "monitor=aug"], "Did you mean 'auc'"),
        (["--set", "patience=0"], "≥ 1"),
        (["--for", "0"], "write --for 90m"),
        (["--for", "-5m"], "--for cannot be '-5m'"),
        (["--for", "soon"], "--for cannot be 'soon'"),
        (["--for", "90"], "write --for 90m for minutes, 90s for seconds"),
        (["--start-from", "nowhere"], "no model 'nowhere' to start from"),
    ],
)
def test_what_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], says: str) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("train", "embedder", "--out", "run", *more)
    assert outcome.code == 2
    assert says in outcome.err
    assert list(tmp_path.iterdir()) == []


TWICE = ["--set", "losses.identity.weight=4", "--set", "losses.identity.weight=2"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--for", "0s"], "write --for 90m"),
        (["--data", "nowhere"], "with images, with one sub-folder for each person"),
        (["--start-from", "nowhere"], "no model 'nowhere' to start from"),
        (TWICE, "losses.identity.weight cannot be both '4' and '2'\nwrite --set losses.identity.weight=… once\n"),
        (["--set", "losses.identiti.weight=4"], "Did you mean 'identity'"),
        (["--set", "losses.identity.weight=-1"], "losses.identity.weight cannot be '-1'\n  allowed: ≥ 0\n"),
        (["--set", "losses.identity.weight=nan"], "losses.identity.weight cannot be 'nan'\n"),
        (["--set", "losses=truth"], "write losses.NAME.OPTION=…"),
        (["--set", "mix.a.share=1.2"], "name its component first: mix.a.name=…"),
        (["--set", "mix.a.name=faceworld", "--set", "mix.a.share=1.2"], "mix.a.share cannot be '1.2'"),
        (["--set", "losses.truth.weight=1"], "needs true swaps, which none of the data sets knows"),
        (["--set", "losses.change.self_weight=-1"], "'self_weight' of ChangeLoss cannot be -1.0"),
        (["--set", "validation.split=tset"], "'split' of FaceWorld cannot be 'tset'"),
        (["--set", "data.groups=0"], "'groups' of FaceWorld cannot be 0"),
        (["--set", "mix.a.name=faceworld", "--set", "mix.a.share=0.01"], "the share of 'a' gives no picture"),
        (["--recipe", "faceworld_64_guide"], "Did you mean 'faceworld_64_guided'"),
        (["--embedder", "nowhere"], "no model file 'nowhere'"),
        (["--embedder", "."], "no model file '.'\n  it is a folder"),
    ],
)
def test_what_a_swapper_refuses(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Shards, "__init__", lambda *_: pytest.fail("rendered before everything else was checked"))
    f = shipped("faceworld_64/embedder.safetensors")
    outcome = run("train", "swapper", "--out", "run", "--embedder", f, "--accelerator", "cpu", *more)
    assert outcome.code == 2
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


TINY_SWAPPER = {
    "image_size": 16, "data.name": "test_colours", "validation": "none", "images": 8, "batch_size": 4,
    "generator.name": "smooth_unet", "generator.base_channels": 8, "generator.channel_multipliers": "1,1",
    "generator.blocks_per_level": 1, "generator.attention_resolutions": "", "warmup_images": 0,
    "discriminator.channel_base": 128, "discriminator.channel_max": 8,
}  # fmt: skip


def test_a_swapper_starts_from_another_runs_weights(run: Run, tmp_path: Path) -> None:
    importlib.import_module("training.tiny")
    options = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "hidden": 16}
    f = smoothswap.save(smoothswap.build("small_resnet", input_size=16, **options), tmp_path / "f.safetensors")
    changes = [word for key, value in TINY_SWAPPER.items() for word in ("--set", f"{key}={value}")]
    words = ["train", "swapper", "--embedder", f, "--accelerator", "cpu", "--no-progress", *changes]
    # The same value twice is no contradiction.
    assert run(*words, "--out", tmp_path / "first", "--set", "images=8").code == 0
    again = run(*words, "--out", tmp_path / "next", "--start-from", tmp_path / "first")
    assert again.code == 0
    record = json.loads((tmp_path / "next" / "started_from.json").read_text())
    assert sorted(record) == ["discriminator", "generator"]
    refused = run("train", "swapper", "--out", tmp_path / "next", "--resume", "--start-from", tmp_path / "first")
    assert refused.code == 2
    assert "a resumed run has its own weights" in refused.err


def test_a_recipe_s_losses_and_data_sets_are_shown_as_they_are_set(run: Run) -> None:
    lines = [line.split() for line in run("train", "recipes", "swapper", "faceworld_64").out.splitlines()]
    assert ["losses.identity", "identity", "weight=4"] in lines
    at = next(number for number, line in enumerate(lines) if line[:1] == ["losses.change"])
    shown = [word for line in lines[at : at + 3] for word in line]
    assert shown == ["losses.change", "change", "weight=2", "weight_before=0.25", "changes_at=10000"]
    assert next(line for line in lines if line[:1] == ["mix"])[1:6] == ["none", "share", ">", "0,", "<"]


def test_a_run_on_photographs_goes_on_with_the_words_it_began_with(run: Run, tmp_path: Path) -> None:
    importlib.import_module("training.tiny")
    folder = write_people(tmp_path / "aligned", 20, 2)
    options = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "hidden": 16}
    f = smoothswap.save(smoothswap.build("small_resnet", input_size=16, **options), tmp_path / "f.safetensors")
    small = {
        "image_size": 16, "batch_size": 4, "mix.photos.share": 0.5, "images": 8, "generator.base_channels": 8,
        "generator.channel_multipliers": "1,1", "generator.attention_resolutions": "", "generator.patch": 2,
        "generator.crop_scale": 1, "losses.features": "none", "losses.adversarial": "none", "data.held_out": 0.3,
    }  # fmt: skip
    changes = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    words = ["train", "swapper", "--data", folder, "--embedder", f, "--accelerator", "cpu", "--no-progress"]
    words += ["--out", tmp_path / "run"]
    first = run(*words, "--recipe", "photos_128", *changes)
    assert first.code == 0, first.err
    again = run(*words, "--resume")
    assert again.code == 0, again.err
    (tmp_path / "photographs" / "anna").mkdir(parents=True)
    bare = ["train", "swapper", "--data", tmp_path / "photographs", "--embedder", f, "--out", tmp_path / "other"]
    for recipe in ("photos_64", "photos_128"):
        refused = run(*bare, "--recipe", recipe)
        assert refused.code == 2
        assert "smoothswap align" in refused.err
        assert ("--set mix.pasted=none" in refused.err) == (recipe == "photos_64")
    without = run(*bare, "--recipe", "photos_64", "--set", "mix.pasted=none")
    assert "does not hold the template" in without.err, "what was proposed is taken; the embedder is refused"


def test_the_time_of_a_call_ends_it_and_the_next_one_goes_on(run: Run, tmp_path: Path) -> None:
    importlib.import_module("training.tiny")
    out = tmp_path / "run"
    part = run(*words(out, "--for", "0.000001s"))
    assert part.code == 0
    assert f"saved {out / 'embedder.safetensors'} (unfinished, 0 images)" in part.out
    assert "wrote" not in part.out
    assert part.out.endswith(
        f"unfinished: its time was over after 0 of 32 images; continue with `smoothswap train embedder --out {out} "
        "--resume`\n"
    )
    shown = run("train", "embedder", "--out", out, "--resume", "--for", "0.000001s", "--accelerator", "cpu")
    assert "continue with" not in shown.out  # once is enough
    assert "continue with" in shown.err
    rest = run("train", "embedder", "--out", out, "--resume", "--for", "1h", "--accelerator", "cpu", "--no-progress")
    assert rest.code == 0
    assert f"wrote {out / 'embedder.safetensors'} (last: auc " in rest.out
    assert "unfinished" not in rest.out
    started = run(*words(tmp_path / "next", "--start-from", out))
    assert started.code == 0
    refused = run("train", "embedder", "--out", out, "--resume", "--start-from", out)
    assert refused.code == 2
    assert "a resumed run has its own weights" in refused.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_has_an_exit_code_of_its_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    importlib.import_module("training.tiny")
    original = Loop._step

    def step(self: Loop) -> None:
        original(self)
        if self.images == 24:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Loop, "_step", step)
    out = tmp_path / "run"
    outcome = run(*words(out))
    assert outcome.code == code
    assert f"saved {out / 'embedder.safetensors'} (unfinished, 24 images)" in outcome.out
    assert f"saved {out / 'embedder-best.safetensors'} (best so far: auc " in outcome.out
    assert "wrote" not in outcome.out
    assert "unfinished: interrupted after 24 of 32 images; continue with `smoothswap train embedder" in outcome.out
    assert read_checkpoint(out / "checkpoint-last.safetensors")["images"] == 24


@pytest.mark.parametrize("more", [(), ("--no-progress",)])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("kind", ["embedder", "swapper"])
def test_a_preparation_is_interrupted_at_once_and_leaves_nothing(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    number: signal.Signals,
    code: int,
    more: tuple[str, ...],
) -> None:
    drawn = []

    def draw(self: FaceWorld, indices: range) -> np.ndarray:
        drawn.append(len(indices))
        os.kill(os.getpid(), number)
        return np.zeros((len(indices), 3, 64, 64), np.uint8)

    monkeypatch.setattr(FaceWorld, "draw", draw)
    monkeypatch.setenv("SMOOTHSWAP_CACHE", str(tmp_path / "cache"))
    named = ("--embedder", "sface") if kind == "swapper" else ()
    out = tmp_path / "a" / "run"
    outcome = run("train", kind, "--out", out, *named, "--set", "data.workers=1", "--set", "data.groups=5", *more)
    assert (outcome.code, len(drawn)) == (code, 1)
    assert outcome.err.strip() == "interrupted"
    assert not (tmp_path / "a").exists()
    assert not list((tmp_path / "cache").rglob("faceworld*/*"))


def test_embed_writes_counts_and_refuses(run: Run, tmp_path: Path) -> None:
    (tmp_path / "faces" / "anna").mkdir(parents=True)
    outcome = run("embed", tmp_path / "faces", "-o", tmp_path / "v.npz")
    assert outcome.code == 2
    assert "no pictures in" in outcome.err
    Image.new("RGB", (32, 32), (9, 99, 200)).save(tmp_path / "faces" / "anna" / "1.png")
    (tmp_path / "faces" / "2.png").write_bytes(b"broken")
    outcome = run("embed", tmp_path / "faces", "-o", tmp_path / "v.npz", "--workers", 0)
    assert outcome.code == 0
    assert "1 vectors of 256 numbers of 1 people" in outcome.out
    assert "1 of 2 pictures were left out" in outcome.out
    with np.load(tmp_path / "v.npz") as file:
        assert file["paths"].tolist() == ["anna/1.png"]
    assert run("embed", tmp_path / "faces", "-o", tmp_path / "v.npz", "--device", "tpu").code == 2


@pytest.mark.parametrize(("kind", "name"), [("embedder", "faceworld_64"), ("swapper", "photos_128")])
def test_options_of_a_recipe_are_shown_in_words(run: Run, kind: str, name: str) -> None:
    text = run("train", "recipes", kind, name).out
    assert "smoothswap." not in text
    assert "Config" not in text
    assert "Part" not in text
    assert ("augment.flip" in text) is (kind == "embedder")


def test_a_recipe_by_its_file(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(*words(out)).code == 0
    assert "32 " in run("train", "recipes", "embedder", out / "recipe.json").out
    again = run("train", "embedder", "--out", tmp_path / "b", "--accelerator", "cpu", "--no-progress",
                "--recipe", out / "recipe.json", "--set", "seed=3")  # fmt: skip
    assert again.code == 0
    made = json.loads((tmp_path / "b" / "recipe.json").read_text())
    assert made == json.loads((out / "recipe.json").read_text()) | {"seed": 3}
