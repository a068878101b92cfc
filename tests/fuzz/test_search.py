"""The search finds what is planted, names it, and goes on behind it; a short one over the parts finds nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fuzz import batch
from fuzz.case import Case, Part
from fuzz.parts import PARTS
from fuzz.search import Finds, kind_of, search
from hypothesis import strategies as st

from smoothswap.core.errors import InputError


def _refuse() -> None:
    raise InputError("the value cannot be 3")


def _loop() -> None:
    while True:
        pass


_PLANTED = {
    "result": lambda: 1,
    "refusal": _refuse,
    "raw": lambda: int("x"),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "endless": _loop,
    "large": lambda: b"x" * (batch.BYTES + 10_000_000),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("result", None), ("refusal", None), ("raw", "ValueError"), ("crash", "the process died: SIGSEGV"),
        ("endless", "longer than N s"), ("large", "took N GB of memory"),
    ],
)  # fmt: skip
def test_planted(name: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SECONDS", 0.2)
    monkeypatch.setattr(batch, "BYTES", 50_000_000)
    case = Case(f"the case {name}", _PLANTED[name], {"a/b.txt": b"input"})
    finds = Finds(tmp_path / "finds")
    ran = search([Part("planted", "", st.integers(0, 2).map(lambda _: case))], 3, 7, 1, finds, 60)
    assert ran["planted"] == 3
    assert dict(finds.kinds) == ({} if kind is None else {("planted", kind): 3})
    if kind is not None:
        folder = tmp_path / "finds" / "planted-7-0-1"
        assert "make fuzz PARTS=planted CASE=7/0/1" in (folder / "find.txt").read_text()
        if "died" not in kind:
            assert (folder / "input" / "work" / "a" / "b.txt").read_bytes() == b"input"


def test_a_batch_is_the_same_each_time() -> None:
    part = PARTS["photographs"]
    first, again, other = (batch.draw(part, seed, 2, 20) for seed in (3, 3, 4))
    assert [case.files for case in first] == [case.files for case in again]
    assert [case.files for case in first] != [case.files for case in other]


def test_finds_of_one_line_are_one_kind() -> None:
    ours, theirs = 'File "/x/smoothswap/api.py", line {}, in f', 'File "/y/PIL/Image.py", line 9, in g'
    trace = f"Traceback\n{ours}\n{theirs}\nKeyError: {{}}"
    assert kind_of(trace.format(3, "'a'")) == kind_of(trace.format(3, "'b'")) == "KeyError at smoothswap/api.py:3"
    assert kind_of(trace.format(4, "'a'")) != kind_of(trace.format(3, "'a'"))


@pytest.mark.parametrize("name", ["photographs", "data_sets", "recipes", "components"])
def test_short(name: str, tmp_path: Path) -> None:
    part = PARTS[name]
    part.prepare()
    finds = Finds(tmp_path / "finds")
    search([part], 60, 0, 1, finds, 60)
    assert not finds.kinds, [path.read_text() for path in (tmp_path / "finds").glob("*/find.txt")]
