"""Whatever the console's encoding, a command that has done its work ends well."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from smoothswap.cli.console import print_in_any_encoding


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252"])
@pytest.mark.parametrize("words", ["describe smooth_unet", "train recipes swapper", "train swapper --help"])
def test_tables_and_help_are_printed(encoding: str, words: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "smoothswap", *words.split()]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.decode(encoding)) > 200


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("ascii", "92 × 115 px · ≥ 1 …", "92 x 115 px - >= 1 ..."),
        ("cp1252", "92 × 115 px, ≥ 1, λ", "92 × 115 px, >= 1, lambda"),
        ("utf-8", "caf\udce9.jpg × é", "caf\\udce9.jpg × é"),
        ("cp437", "caf\udce9 日", "caf\\udce9 \\u65e5"),
    ],
)
def test_what_cannot_be_shown_is_written_in_other_characters(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, shown: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    print_in_any_encoding()
    print(text, flush=True)
    assert raw.getvalue().decode(encoding) == shown + os.linesep
