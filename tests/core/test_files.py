"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import smoothswap
from smoothswap.core.errors import InputError, SmoothSwapError, WorkError
from smoothswap.core.files import (
    as_path,
    check_writable,
    file_sha256,
    from_json,
    output_folder,
    write_aside,
    write_json,
)


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


@pytest.mark.parametrize("value", [np.zeros((2, 3)), None, 3, b"path", ["a"], open])
def test_what_is_no_path(value: object) -> None:
    with pytest.raises(InputError, match=f"the source cannot be of the type {type(value).__name__}") as error:
        as_path(value, "the source")
    assert ("shape (2, 3)" in str(error.value)) is isinstance(value, np.ndarray)
    assert as_path("a/b", "x") == as_path(Path("a/b"), "x") == Path("a/b")


@pytest.mark.parametrize(
    "call",
    [
        lambda array, out: smoothswap.verify(array, array, out),
        lambda array, out: smoothswap.swap(array, array, out / "a.png"),
        lambda array, out: smoothswap.swap("a.png", "b.png", out / "a.png", model=array),
        lambda array, out: smoothswap.embed(array, out / "a.npz"),
        lambda array, out: smoothswap.embed(out, out / "a.npz", embedder=array),
        lambda array, out: smoothswap.evaluate(array, out),
        lambda array, out: smoothswap.load(array),
        lambda array, out: smoothswap.save(array, out),
    ],
)
def test_arrays_in_place_of_files_are_refused_by_every_verb(tmp_path: Path, call: Callable[..., object]) -> None:
    with pytest.raises(SmoothSwapError, match="ndarray"):
        call(np.zeros((4, 4, 3), np.uint8), tmp_path)


@pytest.mark.parametrize("name", ["n" * 251 + ".txt", "é" * 125 + ".txt", "\udce9" * 100 + ".png", "s." + "x" * 250])
def test_a_name_that_the_system_takes_is_written(tmp_path: Path, name: str) -> None:
    check_writable(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    with write_aside(tmp_path / name) as aside:
        aside.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"


@pytest.mark.parametrize(
    ("name", "says"),
    [("n" * 256, "too long"), ("é" * 128, "too long"), ("nowhere/out.txt", "there is no folder"), ("in", "a folder"),
     ("a\0b", "null"), ("file/out.txt", "there is no folder")],
)  # fmt: skip
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=says):
        check_writable(tmp_path / name)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "in"]


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        output_folder(tmp_path / "out", "report.json")


def test_names_that_are_no_utf_8_come_back_from_json(tmp_path: Path) -> None:
    value = {"caf\udce9.jpg": ["é", "\udcff\udcfe", "a\\udce9"]}
    write_json(tmp_path / "report.json", value)
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == value
    assert "é" in (tmp_path / "report.json").read_text("utf-8")


def test_a_home_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/anna")
    assert as_path("~/faces", "a path") == Path("/home/of/anna/faces")

    def none(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", none)
    assert as_path("~/faces", "a path") == Path("~/faces")


@pytest.mark.parametrize("name", ["a\0.png", "\0", "folder/\ud800.png"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(InputError, match="the target cannot be .*\n  no file can have such a name"):
        as_path(name, "the target")


def test_a_name_of_other_bytes_is_a_name() -> None:
    assert as_path("\udcff.png", "the target") == Path("\udcff.png")


@pytest.mark.parametrize("text", ["[" * 100_000, b'{"a":' * 100_000, "{", "", "\xff"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        from_json(text)


def test_json_is_read() -> None:
    assert from_json('{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize("name", ["x" * 300, "./" + "é" * 200 + ".png", "a/" * 3000])
def test_a_name_that_is_too_long(name: str) -> None:
    with pytest.raises(InputError, match="the target cannot be .*\n  File name too long") as error:
        as_path(name, "the target")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", [b"", b"abc", b"x" * 3_000_000])
def test_file_sha256_is_of_the_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    assert file_sha256(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()
    assert file_sha256(str(tmp_path / "a.bin")) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["missing.bin", "", "missing/a.bin"])
def test_file_sha256_of_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot read"):
        file_sha256(tmp_path / name)
