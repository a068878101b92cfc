"""How far a long preparation is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoothswap.core import progress
from smoothswap.core.progress import Count, clock, counting, progress_shown
from smoothswap.data.faceworld.cache import PIECE, Shards
from smoothswap.data.listing import list_pictures


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still: its only entry."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_ten_seconds_with_the_time_left(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with counting("drawing", 400) as count:
        for _ in range(8):
            seconds[0] += 4
            count.advance(10)
    # After 12 s 30 of 400 are done, so the other 370 take 148 s; after 24 s it is 60, and 136 s.
    assert capsys.readouterr().err.splitlines() == [
        "drawing: 30 of 400 images, 2 min left",
        "drawing: 60 of 400 images, 2 min left",
    ]


def test_what_was_done_by_an_earlier_call_says_nothing_of_the_speed(seconds: list[float]) -> None:
    count = Count("aligning", None, "images", shown=True)
    count.update(901, 1000)
    seconds[0] += 5
    count.update(911, 1000)
    assert count.line(5) == "aligning: 911 of 1,000 images, 44 s left"  # ten in 5 s


def test_without_a_total_and_before_the_first(seconds: list[float]) -> None:
    assert Count("listing", None, "files", shown=True).line(3) == "listing: 0 files"
    assert Count("listing", 5, "files", shown=True).line(3) == "listing: 0 of 5 files"


def test_nothing_where_nothing_is_to_be_shown(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress_shown(False), progress_shown(True), counting("drawing", 4) as count:
        seconds[0] += 60
        count.advance()
    with counting("quick", 4) as count:
        count.advance(4)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("length", "text"), [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_clock(length: float, text: str) -> None:
    assert clock(length) == text


def test_rendering_and_listing_report(seconds: list[float], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def draw(first: int, last: int) -> np.ndarray:
        seconds[0] += 6
        return np.zeros((last - first, 3, 2, 2), np.uint8)

    Shards(tmp_path, 3 * PIECE, 2, draw, title="rendering")
    assert capsys.readouterr().err == f"rendering: {2 * PIECE} of {3 * PIECE} images, 6 s left\n"

    for name in ("a", "b"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        (tmp_path / "faces" / name / "1.png").touch()
    original = progress.Count.advance

    def slow(count: Count, number: int = 1) -> None:
        seconds[0] += 11
        original(count, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.Count, "advance", slow)
        list_pictures(tmp_path / "faces")
    assert f"listing {tmp_path / 'faces'}: 2 files" in capsys.readouterr().err
