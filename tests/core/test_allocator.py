"""Freed memory is kept where glibc is the C library; elsewhere nothing changes, and that is said."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from typing import Any

import pytest

from smoothswap.core.allocator import keep_freed_memory


class Library:
    """A C library that notes what it is set to."""

    def __init__(self, accepts: int) -> None:
        self.accepts = accepts
        self.settings: dict[int, int] = {}

    def mallopt(self, name: int, value: int) -> int:
        self.settings[name] = value
        return self.accepts


def refuse(*_: Any) -> Any:
    raise OSError("no library is to be opened here")


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: pytest.fail("a library was opened"))
    assert keep_freed_memory() is False


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: object())  # musl has no mallopt
    assert keep_freed_memory() is False
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert keep_freed_memory() is False


@pytest.mark.parametrize("accepts", [0, 1])
def test_what_is_set(monkeypatch: pytest.MonkeyPatch, accepts: int) -> None:
    library = Library(accepts)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: library)
    assert keep_freed_memory() is bool(accepts)
    assert library.settings[-4] == 0  # M_MMAP_MAX
    if accepts:
        assert library.settings == {-4: 0, -1: 2**31 - 1}  # M_TRIM_THRESHOLD


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_glibc_takes_the_settings() -> None:
    # In a process of its own: how this one uses memory is what other tests measure.
    code = "from smoothswap.core.allocator import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
