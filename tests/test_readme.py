"""README's session runs as written: the Python blocks in order, and the commands of its `console` blocks."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from skimage.data import astronaut

from smoothswap.cli import main
from smoothswap.core.catalogue import CATALOGUE

README = Path(__file__).parent.parent / "README.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures, as the session expects them."""
    monkeypatch.chdir(tmp_path)
    portrait = Image.fromarray(astronaut())
    portrait.crop((100, 0, 400, 300)).save("source.jpg", quality=95)
    portrait.save("target.jpg", quality=95)
    return tmp_path


def test_python_session(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)  # what the session registers must not reach other tests
    session = ModuleType("readme")  # a dataclass looks its own module up
    monkeypatch.setitem(sys.modules, "readme", session)
    names = vars(session)
    for number, block in enumerate(_blocks("python"), 1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), names)
    assert "Did you mean 'smooth_unet'" in capsys.readouterr().out
    assert _size(folder / "from_python.png") == (512, 512)
    assert names["truth"].shape == (1, 3, 64, 64)
    assert names["loss"].config.weight == 2.0


def test_console_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in _blocks("console") for line in block.splitlines()]
    commands = [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    assert commands
    for program, *words in commands:
        assert program == "smoothswap"
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code, capsys.readouterr().err
    assert _size(folder / "swapped.png") == (512, 512)
    assert "compositeWithTrainedAlgorithmicMedia" in capsys.readouterr().out


def test_commands_that_train_exist() -> None:
    """The commands that would take hours are at least spelt right."""
    text = "\n".join(_blocks("sh"))
    for line in re.findall(r"^smoothswap (.*)$", text, re.MULTILINE):
        words = [word for word in shlex.split(line) if not word.startswith("runs/")]
        with pytest.raises(SystemExit) as stop:
            main([*words[: 2 if words[0] == "train" else 1], "--help"])
        assert not stop.value.code
