"""The log of a run: on a terminal, without one, and after an interruption."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing import event_accumulator

from smoothswap.training import EmbedderRecipe, logging, train_embedder
from smoothswap.training.logging import RunLog


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def test_what_came_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"images": 10}\n{"images": 20}\n{"images": 30}\n{"imag')
    log = RunLog(tmp_path, start=20, total=100, progress=False)
    log.write(40, {"loss": 1.5, "odd": float("nan")})
    log.picture(40, torch.zeros(3, 8, 8, dtype=torch.uint8))
    log.close()
    assert rows(tmp_path) == [{"images": 10}, {"images": 20}, {"images": 40, "loss": 1.5, "odd": None}]


def test_without_a_terminal_there_is_a_line_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "_LINE_EVERY", 0.0)
    text = io.StringIO()
    log = RunLog(tmp_path, start=0, total=1000, console=Console(file=text, width=200))
    log.panel("all is well")
    log.advance(500)
    log.close()
    assert "500 of 1,000 images" in text.getvalue()
    assert "left · all is well" in text.getvalue()


def test_on_a_terminal_there_is_a_bar(tmp_path: Path) -> None:
    text = io.StringIO()
    log = RunLog(tmp_path, start=0, total=1000, console=Console(file=text, width=160, force_terminal=True))
    log.advance(500)
    log.panel("all is well")
    log.say("a message")
    log.close()
    for part in ("500/1000", "all is well", "a message", "/s"):
        assert part in text.getvalue()


def test_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(tmp_path, start=0, total=10, progress=False)
    log.say("nobody hears this")
    log.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("style", "shown"), [("bold red", True), ("yellow", True), ("", False)])
def test_alarms_and_warnings_are_printed_without_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], style: str, shown: bool
) -> None:
    log = RunLog(tmp_path, start=0, total=8, progress=False)
    log.say("ALARM: the output copies the target", style)
    log.close()
    assert ("ALARM: the output copies the target" in capsys.readouterr().err) == shown


def board(folder: Path) -> list[tuple[int, float]]:
    events = event_accumulator.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, round(event.value, 3)) for event in events.Scalars("loss")]


@pytest.mark.parametrize("start", [20, 25, 30])
def test_tensorboard_has_what_the_log_has_after_a_resume(tmp_path: Path, start: int) -> None:
    first = RunLog(tmp_path, start=0, total=60, progress=False)
    for images in (10, 20, 30):
        first.write(images, {"loss": images / 10})
    # No close: the process was killed. TensorBoard sorts its files by the second in which each began.
    time.sleep(1.1)
    again = RunLog(tmp_path, start=start, total=60, progress=False)
    again.note({"resumed_at": start})
    for images in (40, 50):
        again.write(images, {"loss": images / 10})
    again.close()
    kept = [(row["images"], row["loss"]) for row in rows(tmp_path) if "loss" in row]
    assert kept == [(images, images / 10) for images in (10, 20, 30, 40, 50) if images <= start or images > 30]
    assert board(tmp_path) == kept
    assert {"resumed_at": start} in rows(tmp_path)
    first.close()


def test_a_run_says_what_it_trains_on_and_where_it_goes_on(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    recipe = embedder_recipe(images=32, log_every=8, learning_rate=0.002, warmup_images=0, decay="constant")
    train_embedder(recipe, out, accelerator="cpu")
    capsys.readouterr()
    train_embedder(replace(recipe, images=64), out, resume=True, accelerator="cpu")
    said = capsys.readouterr().err.replace("\n", " ")
    assert "training on 24 images of 6 persons (test_colours); held out: nothing; learning_rate 0.002" in said
    assert "(now" not in said
    assert "resumed after 32 of 64 images" in said
    lines = rows(out)
    assert [row["images"] for row in lines if "loss" in row] == [8, 16, 24, 32, 40, 48, 56, 64]
    assert [row["learning_rate"] for row in lines if "loss" in row] == [0.002] * 8
    assert [row for row in lines if "resumed_at" in row] == [{"resumed_at": 32}]
    assert [step for step, _ in board(out)] == [8, 16, 24, 32, 40, 48, 56, 64]


@pytest.mark.parametrize(("warmup", "now"), [(0, ""), (39, " (now 5e-05)"), (19, " (now 0.0001)")])
def test_a_learning_rate_that_rises_is_told_with_its_height(
    tmp_path: Path,
    embedder_recipe: Callable[..., EmbedderRecipe],
    capsys: pytest.CaptureFixture[str],
    warmup: int,
    now: str,
) -> None:
    recipe = embedder_recipe(images=40, learning_rate=0.002, warmup_images=warmup)
    train_embedder(recipe, tmp_path / "run", accelerator="cpu")
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"; learning_rate 0.002{now} " in said + " "
