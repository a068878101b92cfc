"""The log of a run: on a terminal, without one, and after an interruption."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from smoothswap.training import logging
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
