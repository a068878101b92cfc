"""What a case is, and what may come of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from smoothswap.core.errors import SmoothSwapError

SECONDS = 5.0
"""Processor time that a case may take."""
BYTES = 1_500_000_000
"""Memory that a case may take beside what the process had before."""
LONGEST = 20_000
"""Characters of an error: more, and it shows the input instead of saying what is wrong with it."""


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        says: the call, for a reader.
        call: does it, in a folder of its own.
        files: what lies in that folder before, by relative path.
        endless: whether valid values may ask for more work than the time of a case, such as those of a training.
    """

    says: str
    call: Callable[[], object] = field(repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    endless: bool = False


@dataclass(frozen=True)
class Part:
    """One kind of inputs.

    Attributes:
        name: for `--part`.
        says: what it tries, in a line.
        cases: the inputs.
        prepare: makes what they are made from, once for all processes.
    """

    name: str
    says: str
    cases: st.SearchStrategy[Case]
    prepare: Callable[[], object] = lambda: None


class FaultError(Exception):
    """What a case found that raised nothing, such as a command's exit code."""


class TooSlowError(BaseException):
    """The time of a case is over; no `except Exception` swallows it."""


def verdict(case: Case, folder: Path) -> str:
    """Run a case whose files lie in `folder`, the current one. An empty text where what came of it is allowed."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        case.call()
    except SmoothSwapError as error:
        return _unclear(str(error))
    except TooSlowError:
        return "" if case.endless else f"longer than {SECONDS:g} s\n{traceback.format_exc()}"
    except BaseException:
        return traceback.format_exc()
    return ""


def _unclear(text: str) -> str:
    """What is wrong with the text of an error; empty where nothing is."""
    if not text.strip() or not text.partition("\n")[0].strip():
        return f"an error that says nothing: {text!r}"
    if len(text) > LONGEST:
        return f"an error of {len(text)} characters: {text[:200]!r}…"
    return ""
