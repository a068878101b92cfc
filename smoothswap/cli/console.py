"""Where tables go: the terminal at its own width, a pipe at a width that wraps little."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 110  # characters


def console() -> Console:
    """A console on stdout. Colours only on a terminal, and not where NO_COLOR is set."""
    out = Console(highlight=False, markup=False)
    if not out.is_terminal:
        out.width = PIPE_WIDTH
    return out


def table(*columns: str, title: str | None = None) -> Table:
    """A plain table whose cells wrap instead of being cut; the first column never wraps."""
    result = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        result.add_column(column, overflow="fold", no_wrap=index == 0)
    return result
