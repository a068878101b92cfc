"""The cache has a place for every user, also for one without a home."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from smoothswap.core import cache_folder as module
from smoothswap.core.cache_folder import cache_folder


@pytest.fixture(autouse=True)
def _told_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SMOOTHSWAP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    module._temporary.cache_clear()
    yield
    module._temporary.cache_clear()


def test_what_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "smoothswap"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "smoothswap"
    monkeypatch.setenv("SMOOTHSWAP_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.parametrize("home", ["none", "file", "not writable"])
def test_a_temporary_folder_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, home: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if home == "none":

        def none() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", none)
    elif home == "file":
        (tmp_path / "home").touch()
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    with caplog.at_level(logging.WARNING):
        folder = cache_folder()
        assert folder == cache_folder()
    assert folder.parent == tmp_path / "tmp"
    assert len(caplog.records) == 1
    assert "SMOOTHSWAP_CACHE names a better place" in caplog.text
