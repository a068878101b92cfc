"""Where text goes: tables to the terminal at its own width, to a pipe at one that wraps little; all in any encoding.

Consoles of Windows and pipes under an old locale are no UTF-8. What they cannot show is written in other characters.
"""

from __future__ import annotations

import codecs
import io
import sys

from rich import box
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 110  # characters


_PLAIN = {
    "×": "x", "·": "-", "–": "-", "—": "-", "−": "-", "…": "...", "≥": ">=", "≤": "<=", "→": "->", "←": "<-", "±": "+-",
    "λ": "lambda", "é": "e", "’": "'", "“": '"', "”": '"', "²": "2", "°": " deg", "█": "#", "━": "-",
}  # fmt: skip


def _in_plain_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    """An encoder's error handler; what is not in the table comes out as Python's escapes, so a name stays whole."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text)
    return plain, error.end


codecs.register_error("smoothswap_plain", _in_plain_characters)


def print_in_any_encoding() -> None:
    """Let no character that standard output or error cannot encode end a command whose work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="smoothswap_plain")


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
