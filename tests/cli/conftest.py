"""Runs the command line in this process, as `smoothswap WORDS` would."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from smoothswap.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call with the words after `smoothswap`."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main replaces it for its process
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), out, err)

    return call
