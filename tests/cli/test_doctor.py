"""`doctor` tells each reason once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smoothswap.ops import backend
from smoothswap.ops.backend import Row

Run = Callable[..., Any]
LONG = "libc10.so: cannot open shared object file: no such file or directory"


@pytest.mark.parametrize(
    ("why_not", "shared", "alone"),
    [
        ([{"cpu": LONG}] * 17, [LONG], []),
        ([{"cpu": LONG, "cuda": "no device"}, {"cpu": LONG}, {}], [LONG], ["cuda: no device"]),
        ([{"cpu": LONG}, {"cpu": LONG}, {"cuda": "none"}, {"triton": "none"}], [LONG, "none"], []),
        ([{}, {"cuda": "no device"}], [], ["cuda: no device"]),
    ],
)
def test_equal_reasons_are_told_once(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    why_not: list[dict[str, str]],
    shared: list[str],
    alone: list[str],
) -> None:
    rows = [Row(f"op_{number}", "cpu", "reference", reasons, "") for number, reasons in enumerate(why_not)]
    monkeypatch.setattr(backend, "report", lambda: rows)
    text = run("doctor").out
    for number, reason in enumerate(shared, 1):
        assert text.count(reason) == 1
        assert f"({number}) {reason}" in text
        uses = sum(value == reason for reasons in why_not for value in reasons.values())
        assert text.count(f"see ({number})") == uses
    for reason in alone:
        assert text.count(reason) == 1
    assert text.count("it is the fastest") == why_not.count({})
