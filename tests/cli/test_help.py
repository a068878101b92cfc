"""Help of every command: it is there, it is quick, and it says ranges and defaults."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from typer.testing import CliRunner

from smoothswap.cli import app, main

COMMANDS = [
    ("swap",), ("inspect",), ("embed",), ("align",), ("faceworld",), ("train",), ("train", "embedder"),
    ("train", "swapper"), ("train", "recipes"), ("convert",), ("list",), ("describe",), ("plugins",), ("doctor",),
    ("demo",),
]  # fmt: skip


def _help(*words: str) -> str:
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_a_help(words: tuple[str, ...]) -> None:
    text = _help(*words)
    assert f"Usage: smoothswap {' '.join(words)}" in text
    assert "-h" in text


def test_the_top_names_every_command() -> None:
    text = _help()
    for words in COMMANDS:
        assert words[0] in text
    assert "--debug" in text
    assert "--version" in text


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (("swap",), ["SOURCE", "TARGET", "x>=0", "default: all", "--no-mark", "generator.safetensors"]),
        (("train", "embedder"), ["--loss", "--data", "FOLDER", "embedder-best.safetensors", "patience"]),
        (("train", "embedder"), ["--for", "TIME", "1h30m", "--start-from", "MODEL", "143"]),
        (("embed",), ["--embedder", "--align", "--batch", "x>=1", "--workers", "--device", ".npz"]),
        (("align",), ["--size", "x>=", "pixels", "--workers"]),
        (("faceworld",), ["--size", "x>=", "--seed"]),
        (("train", "swapper"), ["--embedder", "--set", "--resume", "x>=1", "bf16", "faceworld_64"]),
        (("train", "swapper"), ["--for", "TIME", "1h30m", "--data", "FOLDER", "143"]),
        (("convert",), ["sface", "--file-sha256", "--set", ".safetensors"]),
        (("demo",), ["x>=1", "default: demo"]),
    ],
)
def test_help_tells_ranges_and_defaults(words: tuple[str, ...], facts: list[str]) -> None:
    text = _help(*words)
    for fact in facts:
        assert fact in text


@pytest.mark.parametrize("arguments", ["[]", "['--help']", "['swap', '--help']", "['--version']", "['list']"])
def test_help_and_list_load_no_torch(arguments: str) -> None:
    script = f"""
import sys
from smoothswap.cli import main
try:
    main({arguments})
except SystemExit:
    heavy = [name for name in ("torch", "numpy", "cv2", "PIL") if name in sys.modules]
    print(heavy, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_importing_the_package_loads_no_torch() -> None:
    script = "import smoothswap, sys; print([n for n in ('torch', 'numpy', 'typer', 'pluggy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("words", "kept"), [(None, [True]), (["--version"], [])])
def test_freed_memory_is_kept_where_the_process_is_the_commands_own(
    monkeypatch: pytest.MonkeyPatch, words: list[str] | None, kept: list[bool]
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main replaces it for its process
    monkeypatch.setattr(sys, "argv", ["smoothswap", "--version"])
    module = sys.modules[main.__module__]  # `smoothswap.cli.app` names the application as well
    monkeypatch.setattr(module, "keep_freed_memory", lambda: calls.append(True))
    with pytest.raises(SystemExit):
        main(words)
    assert calls == kept
