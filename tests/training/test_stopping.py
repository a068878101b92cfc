"""A run that stops when its time is over, or by a signal: when, why, and that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from training.test_resume import same

from smoothswap.core.errors import ConfigError
from smoothswap.training import EmbedderRecipe, SwapperRecipe, train_embedder, train_swapper
from smoothswap.training import embedder as embedder_module
from smoothswap.training import swapper as swapper_module
from smoothswap.training.checkpoint import LAST, PREVIOUS, read_checkpoint
from smoothswap.training.loop import Loop
from smoothswap.training.stopping import Deadline, parse_duration

CPU: dict[str, Any] = {"accelerator": "cpu", "progress": False}


class Clock:
    """A clock that is set by hand, and that every step and save moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A step takes a second, a save 2.5."""
    made = Clock()
    step, write = Loop._step, Loop._write

    def timed_step(self: Loop) -> None:
        made.now += 1
        step(self)

    def timed_write(self: Loop) -> Path:
        made.now += 2.5
        return write(self)

    monkeypatch.setattr(Loop, "_step", timed_step)
    monkeypatch.setattr(Loop, "_write", timed_write)
    for module in (embedder_module, swapper_module):
        monkeypatch.setattr(module, "Deadline", partial(Deadline, clock=made))
    return made


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 5400),
        ("30s", 30),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1d12h", 129_600),
        ("1H30M", 5400),
        (" 0.5s ", 0.5),
        ("0h5m", 300),
    ],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0", "0m", "-5m", "-0.5h", "m", "5 m", "30m1h", "1h1h", "1e3s", "inf", "nan", "½h", "٣m", "9" * 400 + "h"],
)
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ConfigError, match="--for cannot be") as error:
        parse_duration(text)
    assert "write --for 90m, --for 1h30m or --for 30s" in str(error.value)


def test_a_bare_number_may_be_minutes_or_seconds() -> None:
    with pytest.raises(ConfigError, match=r"needs a unit(?s:.*)write --for 90m for minutes, 90s for seconds"):
        parse_duration("90")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_duration_that_is_none(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe], seconds: float
) -> None:
    with pytest.raises(ConfigError, match="duration cannot be"):
        train_embedder(embedder_recipe(), tmp_path / "run", duration=seconds, **CPU)
    assert not (tmp_path / "run").exists()


def test_the_time_of_the_last_save_is_kept() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    clock.now += 9.5
    assert not deadline.over()
    clock.now -= 5.5
    with deadline.saving():
        clock.now += 2
    assert not deadline.over()  # 4 left
    clock.now += 1.5
    assert not deadline.over()
    clock.now += 0.5  # 2 left, as long as the save took
    assert deadline.over()
    assert not Deadline(None, clock).over()


def test_asked_rarely_it_looks_ahead_by_the_shortest_interval() -> None:
    clock = Clock()
    deadline = Deadline(100, clock)
    clock.now += 60  # the start took long, which says nothing about steps
    assert not deadline.over(rarely=True)
    clock.now += 4
    assert not deadline.over(rarely=True)
    clock.now += 30  # a validation lay between; 6 left
    assert not deadline.over(rarely=True)
    clock.now += 3  # 3 left
    assert deadline.over(rarely=True)


def test_a_run_stopped_by_its_time_and_resumed_is_the_unbroken_one(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe], clock: Clock
) -> None:
    recipe = embedder_recipe(checkpoint_every=16)
    whole = train_embedder(recipe, tmp_path / "whole", **CPU)
    assert (whole.ended, whole.signal, whole.unfinished) == ("finished", 0, "")
    run = tmp_path / "parts"
    # Two steps and a save are 4.5 s each; after the third step 5.5 s are over and 2.5 are kept for the save: 8.
    first = train_embedder(recipe, run, duration=8.0, **CPU)
    assert (first.images, first.ended, first.finished, first.signal) == (24, "time", False, 0)
    assert first.unfinished == (
        f"unfinished: its time was over after 24 of 80 images; "
        f"continue with `smoothswap train embedder --out {run} --resume`"
    )
    began = clock.now
    second = train_embedder(None, run, resume=True, duration=9.0, **CPU)
    # One step to 32, a save (3.5), two steps to 48, a save (8): that save leaves no time, and is not made twice.
    assert (second.images, second.ended, clock.now - began) == (48, "time", 8.0)
    assert [read_checkpoint(run / name)["images"] for name in (LAST, PREVIOUS)] == [48, 32]
    rest = train_embedder(None, run, resume=True, duration=3600, **CPU)
    assert (rest.images, rest.ended) == (80, "finished")
    same(*(read_checkpoint(folder / LAST)["work"] for folder in (tmp_path / "whole", run)))


def test_a_swapper_stopped_by_its_time_and_resumed_is_the_unbroken_one(
    tmp_path: Path, swapper_recipe: Callable[..., SwapperRecipe], embedder_file: Path, clock: Clock
) -> None:
    train_swapper(swapper_recipe(), tmp_path / "whole", embedder=embedder_file, **CPU)
    half = train_swapper(swapper_recipe(), tmp_path / "parts", embedder=embedder_file, duration=5, **CPU)
    assert (half.images, half.ended) == (20, "time")
    rest = train_swapper(None, tmp_path / "parts", resume=True, duration=5.5, **CPU)
    assert (rest.images, rest.ended) == (40, "finished")  # the last step fits, and then all is done
    whole, parts = (read_checkpoint(tmp_path / name / LAST)["work"] for name in ("whole", "parts"))
    whole.pop("health"), parts.pop("health")  # see test_resume
    same(whole, parts)


def test_a_validation_that_is_due_when_the_time_is_over_is_made(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe], clock: Clock
) -> None:
    recipe = embedder_recipe(validation=embedder_recipe().data, validate_every=24)
    part = train_embedder(recipe, tmp_path / "run", duration=3, **CPU)
    assert (part.images, part.ended) == (24, "time")
    lines = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if "auc" in line] == [24]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_which_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    embedder_recipe: Callable[..., EmbedderRecipe],
    number: signal.Signals,
) -> None:
    original = Loop._step

    def step(self: Loop) -> None:
        original(self)
        if self.images == 40:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Loop, "_step", step)
    result = train_embedder(embedder_recipe(), tmp_path / "run", duration=3600, **CPU)
    assert (result.images, result.ended, result.signal) == (40, "interrupted", number)
    assert "interrupted after 40 of 80 images; continue with" in result.unfinished
    last = train_embedder(embedder_recipe(images=40), tmp_path / "short", **CPU)
    assert (last.ended, last.signal) == ("finished", 0)  # nothing was left to interrupt


@pytest.mark.parametrize(("own", "others", "stop"), [(0, 1, 1), (1, 15, 15), (2, 1, 2), (0, 0, 0)])
def test_several_processes_leave_at_one_step_for_one_reason(own: int, others: int, stop: int) -> None:
    asked = []

    def all_reduce(flag: Any, reduce_op: str) -> None:
        asked.append(reduce_op)
        flag.fill_(max(float(flag), others))

    loop = Loop.__new__(Loop)
    loop.fabric = SimpleNamespace(world_size=2, device="cpu", all_reduce=all_reduce)  # type: ignore[assignment]
    loop.work = SimpleNamespace(batch_size=8)  # type: ignore[assignment]
    clock = Clock()
    loop.deadline = Deadline(1, clock)
    clock.now += own == 1
    listener: Any = SimpleNamespace(signal=own if own > 1 else 0)
    loop.images = 8 * 17
    assert not loop._stopped(listener)
    assert asked == []
    loop.images = 8 * 32
    assert loop._stopped(listener) == (stop > 0)
    assert (loop._stop, asked) == (stop, ["max"])
