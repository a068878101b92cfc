"""`convert`: a file of weights becomes a model file, and an error names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import smoothswap

Run = Callable[..., Any]


def test_sface_needs_no_file(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "sface.safetensors"
    outcome = run("convert", "sface", "-o", out)
    assert (outcome.code, outcome.out) == (0, f"wrote {out}\n")
    assert smoothswap.load(out).dim == 128
    again = run("convert", "sface", "-o", out)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert run("convert", "sface", "-o", out, "--overwrite").code == 0


def test_errors_are_one_paragraph(run: Run, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    torch.save({"some.weight": torch.ones(1)}, weights)
    out = tmp_path / "out.safetensors"
    for words, said in (
        (("iresnet", weights), "missing ("),
        (("iresnet", weights, "--file-sha256", "00" * 32), "file_sha256 found"),
        (("iresnet", weights, "--set", "depth=19"), "depth"),
        (("iresnet",), "no file of weights is installed"),
        (("arcface", weights), "iresnet: insightface"),
    ):
        outcome = run("convert", *words, "-o", out)
        assert outcome.code == 2, words
        assert said in outcome.err
        assert "Traceback" not in outcome.err
    assert not out.exists()
