"""What the command line says when something goes wrong: one paragraph on stderr, and an exit code.

2: the user can put it right (a wrong option, a missing file). 1: a failure at work (a full disk, a bug). 130 and 143:
interrupted by Ctrl-C and SIGTERM. A training that has begun saves and reports itself; see `training`.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

from smoothswap.core.allocator import is_out_of_memory
from smoothswap.core.errors import SmoothSwapError

INTERRUPTED = 128 + signal.SIGINT  # as shells count


def report(error: BaseException, *, debug: bool) -> int:
    """Tell the user about an error on stderr and give the exit code.

    Args:
        error: what ended the command.
        debug: show the traceback first.
    """
    if debug:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        _print("interrupted", style="")
        return INTERRUPTED
    if isinstance(error, SmoothSwapError):
        _print(str(error))
        return error.exit_code
    if isinstance(error, OSError):
        _print(_operating_system(error))
        return 1
    if is_out_of_memory(error):
        _print(f"the memory does not suffice: {_first_line(error)}\nChoose smaller sizes or batches, or fewer workers.")
        return 1
    _print(_unexpected(error, debug=debug))
    return 1


@contextmanager
def stoppable() -> Iterator[Callable[[], int]]:
    """Around a command: SIGTERM stops it as Ctrl-C does, so that nothing half-written stays.

    Yields:
        A function that gives the exit code of the signal that came; 0 where none has come.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield lambda: 0
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: 128 + came[0] if came else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Stands in for `warnings.showwarning`: the text alone, without the line of code that raised it."""
    print(f"warning: {message}", file=file or sys.stderr)


def install_warnings(*, debug: bool) -> None:
    """Show warnings as one line each; with `debug`, as Python does, with file and line."""
    if not debug:
        warnings.showwarning = show_warning


def _operating_system(error: OSError) -> str:
    where = f" {error.filename!r}" if error.filename else ""
    what = error.strerror or str(error) or type(error).__name__
    return f"the operating system refused{where}: {what}\nNothing half-written was left under its final name."


def _unexpected(error: BaseException, *, debug: bool) -> str:
    text = _first_line(error)
    hint = "" if debug else "\nThis is a fault of smoothswap or a plugin. Run it again with --debug for the traceback."
    return f"unexpected {type(error).__name__}{': ' if text else ''}{text}{hint}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _print(text: str, style: str = "bold red") -> None:
    from rich.console import Console
    from rich.text import Text

    # Soft wrap: paths and commands in the text must survive copying from a narrow terminal.
    line = Text.assemble(("error: ", style), text) if style else Text(text)
    Console(stderr=True, highlight=False).print(line, soft_wrap=True)
