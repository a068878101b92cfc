"""What a training shows and writes: `train.jsonl`, TensorBoard, a progress bar, messages."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from smoothswap.core.files import from_json, write_aside
from smoothswap.core.progress import clock

LOG = "train.jsonl"
_LINE_EVERY = 30.0  # seconds between lines where there is no terminal


class Log(Protocol):
    """What the loop tells."""

    def advance(self, images: int) -> None:
        """So many images have been seen."""

    def write(self, images: int, values: Mapping[str, float]) -> None:
        """Numbers for the log and TensorBoard."""

    def note(self, values: Mapping[str, Any]) -> None:
        """Something that is no number, for the log."""

    def panel(self, text: str) -> None:
        """The state of things, in one line."""

    def say(self, text: str, style: str = "") -> None:
        """A message."""

    def picture(self, images: int, sheet: Tensor) -> None:
        """A sheet of samples, uint8 [3, H, W]."""

    def close(self) -> None:
        """Nothing more will come."""


class SilentLog:
    """The log of every process but the first."""

    def advance(self, images: int) -> None:
        """Nothing."""

    def write(self, images: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def note(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def panel(self, text: str) -> None:
        """Nothing."""

    def say(self, text: str, style: str = "") -> None:
        """Nothing."""

    def picture(self, images: int, sheet: Tensor) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class RunLog:
    """Writes into a run's folder; shows a bar on a terminal, else a line every half minute.

    Args:
        folder: the run's folder.
        start: images seen before; what an interrupted run wrote after that is dropped.
        total: images at the end.
        progress: show how far it is; without, only warnings and alarms are shown.
        console: where to; standard error.
    """

    def __init__(
        self, folder: Path, *, start: int, total: int, progress: bool = True, console: Console | None = None
    ) -> None:
        self._path = folder / LOG
        _cut(self._path, start)
        # TensorBoard drops what has this step or a later one. What was logged at the checkpoint itself came before it.
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)
        self._console = console or Console(stderr=True, quiet=not progress)
        self._warnings = self._console if progress or console else Console(stderr=True)
        self._total, self._start, self._began = total, start, time.monotonic()
        self._told = self._began
        self._panel = Text(style="dim")
        self._live: Live | None = None
        self._images = start
        if progress and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("images · {task.fields[rate]} · left"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=self._console,
                speed_estimate_period=120,
            )
            self._task = self._bar.add_task("training", total=total, completed=start, rate="…")
            self._live = Live(Group(self._bar, self._panel), console=self._console, refresh_per_second=2)
            self._live.start()

    def rate(self) -> float:
        """Images a second since this process began to count."""
        return (self._images - self._start) / max(1e-9, time.monotonic() - self._began)

    def advance(self, images: int) -> None:
        """Move the bar, or print a line when the last is half a minute old."""
        self._images = images
        if self._live is not None:
            self._bar.update(self._task, completed=images, rate=f"{self.rate():.1f}/s")
        elif time.monotonic() - self._told >= _LINE_EVERY:
            self._told = time.monotonic()
            left = (self._total - images) / max(1e-9, self.rate())
            text = f"{images:,} of {self._total:,} images · {self.rate():.1f}/s · {clock(left)} left"
            self._console.print(f"{text} · {self._panel.plain}" if self._panel.plain else text, highlight=False)

    def write(self, images: int, values: Mapping[str, float]) -> None:
        """Append a line to `train.jsonl`, and the same numbers to TensorBoard."""
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        for name, value in values.items():
            self._board.add_scalar(name, value, images)
        self._board.flush()  # before the line is there, so that whatever ends the process TensorBoard has it as well
        self._append({"images": images, **plain})

    def note(self, values: Mapping[str, Any]) -> None:
        """Append a line without numbers to `train.jsonl`."""
        self._append(values)

    def _append(self, row: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def panel(self, text: str) -> None:
        """Change the line under the bar."""
        self._panel.plain = text

    def say(self, text: str, style: str = "") -> None:
        """Print a message above the bar; a command in it can be copied, since no line break is put in.

        One with a style is a warning or an alarm, which is also printed where no progress is shown.
        """
        console = self._warnings if style else self._console
        console.print(Text(text, style=style), soft_wrap=True)

    def picture(self, images: int, sheet: Tensor) -> None:
        """Show a sheet of samples in TensorBoard."""
        self._board.add_image("samples", sheet, images)

    def close(self) -> None:
        """End the bar and flush."""
        if self._live is not None:
            self._live.stop()
        self._board.close()


def _cut(path: Path, images: int) -> None:
    """Drop the lines of a log that tell of images after `images`, and a last line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            there = from_json(line).get("images", 0) <= images
        except (ValueError, AttributeError, TypeError):
            continue
        if there:
            kept.append(line + "\n")
    with write_aside(path) as aside:
        aside.write_text("".join(kept), encoding="utf-8")
