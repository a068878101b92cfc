"""Files appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.files import write_aside


def test_file_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with write_aside(path) as aside:
        aside.write_text("whole")
        assert not path.exists()
        assert aside.suffix == ".txt"
    assert path.read_text() == "whole"
    assert [item.name for item in tmp_path.iterdir()] == ["out.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("bad"), ValueError("bad")])
def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(type(error)), write_aside(path) as aside:
        aside.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["out.txt"]


def test_full_disk_is_a_work_error(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="No space left"), write_aside(tmp_path / "out.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_a_work_error(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="missing"), write_aside(tmp_path / "missing" / "out.txt") as aside:
        aside.write_text("x")


def test_others_may_read_what_a_secretive_writer_wrote(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("x")
    with write_aside(tmp_path / "out.txt") as aside:
        aside.unlink()
        aside.touch(mode=0o600)
    assert (tmp_path / "out.txt").stat().st_mode == plain.stat().st_mode
