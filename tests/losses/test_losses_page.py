"""The page docs/losses.md says what is true: its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smoothswap.core.catalogue import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


def test_the_page_s_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)  # what the page registers must not reach other tests
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), str(PAGE), "exec", dont_inherit=True), {"__name__": "page"})
