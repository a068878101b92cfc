"""A progress bar on stderr with the time left; nothing where no one is watching."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def bar(title: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes how many are done and how many there are.

    Args:
        title: what is counted.
        shown: False leaves the bar out, as does a stderr that is no terminal.
    """
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, disable=not (shown and terminal.is_terminal)) as progress:
        task = progress.add_task(title, total=None)

        def update(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        yield update
