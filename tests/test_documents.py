"""Every page's Python and console blocks run as written, in order, in a folder that holds the files that they name.

A block that cannot run is left out where the page itself says so, by a comment `<!-- skip: next "reason" -->`. The
commands of all pages, also those that would train for hours, are read by the command line's own parser.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import cv2
import numpy as np
import pytest
import typer
from PIL import Image
from skimage.data import astronaut
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import smoothswap
from smoothswap import training
from smoothswap.cli import app, main
from smoothswap.core.catalogue import CATALOGUE
from smoothswap.data import faceworld

ROOT = Path(__file__).parent.parent
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("smoothswap/assets/**/*.md")])
    if "```" in page.read_text(encoding="utf-8")
]
COMPILES = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
# What a page's blocks must have left: texts that they print, and values.
PRINTED = {
    "README.md": ("Did you mean 'smooth_unet'", "compositeWithTrainedAlgorithmicMedia"),
    "docs/evaluation.md": ("similarity to the source",),
    "docs/photographs.md": ("2 crops",),
}
HOLDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "README.md": lambda n: (
        n["truth"].shape == (1, 3, 64, 64)
        and n["loss"].config.weight == 2.0
        and all(cv2.imread(file).shape == (512, 512, 3) for file in ("swapped.png", "from_python.png"))
    ),
    "docs/evaluation.md": lambda n: len(n["report"]) == 2 and Path("report.json").is_file(),
    "docs/ops.md": lambda n: n["y"].shape == (2, 8, 4, 4) and n["h"].shape == (2, 4, 8, 8) and n["loss"].requires_grad,
    "docs/photographs.md": lambda n: len(n["outcome"].result.faces) == 2,
    "docs/training.md": lambda n: n["result"].images == 16 and Path("runs/swapper/train.jsonl").is_file(),
}
# A training that a page shows takes hours; here it is a step or two of the same recipe with small networks.
SMALL = {
    "embedder": {
        "image_size": "16", "images": "16", "people_per_batch": "4", "images_per_person": "2", "people_per_group": "1",
        "embedder.dim": "8", "embedder.widths": "8,8", "embedder.blocks": "1,1", "embedder.flat_channels": "4",
        "embedder.hidden": "16", "data.groups": "4", "data.people_per_group": "2", "data.images_per_person": "4",
        "validation": "none", "warmup_images": "0",
    },
    "swapper": {
        "image_size": "16", "images": "8", "batch_size": "4", "generator.base_channels": "8",
        "generator.channel_multipliers": "1,1", "generator.blocks_per_level": "1",
        "generator.attention_resolutions": "", "discriminator.channel_base": "128", "discriminator.channel_max": "8",
        "data.groups": "4", "data.people_per_group": "2", "validation": "none", "warmup_images": "0",
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the photographs and models that the pages speak of; what a page registers is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    CATALOGUE.load_plugins()
    monkeypatch.setattr(CATALOGUE, "_rows", CATALOGUE._rows)
    portrait = Image.fromarray(astronaut())
    two = Image.new("RGB", (600, 300))
    for place in (0, 300):
        two.paste(portrait.crop((100, 0, 400, 300)), (place, 0))
    for person in ("anna", "bela"):
        (tmp_path / "photographs" / person).mkdir(parents=True)
        portrait.save(tmp_path / "photographs" / person / "1.jpg")
    for name, picture in {
        "source": two.crop((0, 0, 300, 300)),
        "target": portrait,
        "anna": portrait,
        "group": two,
    }.items():
        picture.save(f"{name}.jpg", quality=95)
    directions = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    vectors = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    np.savez("vectors.npz", vectors=vectors, people=np.array(["anna", "anna", "bela", "bela"]))
    options = {"base_channels": 4, "channel_multipliers": (1,), "blocks_per_level": 1, "attention_resolutions": ()}
    for run, model in {
        "swapper/generator": smoothswap.build("smooth_unet", image_size=16, identity_dim=8, **options),
        "embedder/embedder": smoothswap.build("small_resnet", input_size=16, dim=8),
        "judge/embedder": smoothswap.build("small_resnet", input_size=16, dim=8),
    }.items():
        (tmp_path / "runs" / run).parent.mkdir(parents=True)
        smoothswap.save(model.eval(), tmp_path / "runs" / f"{run}.safetensors")
    return tmp_path


def run_console(example: Example) -> None:
    """The commands of a session, the lines that start with `$`."""
    for line in re.findall(r"^\$ (.*)$", example.parsed, re.MULTILINE):
        program, *words = shlex.split(line)
        assert program == "smoothswap", line
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert not stop.value.code, line


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=COMPILES if page == "docs/ops.md" else ()) for page in PAGES]
)
def test_the_blocks_of_a_page_run(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, swap_pairs = training.recipe, faceworld.swap_pairs
    monkeypatch.setattr(faceworld, "swap_pairs", lambda people, count, **k: swap_pairs(people, min(count, 2), **k))
    monkeypatch.setattr(
        training, "recipe", lambda kind, name, changes=(): recipe(kind, name, {**dict(changes), **SMALL[kind]})
    )
    parsers = (PythonCodeBlockParser(), CodeBlockParser("console", run_console), SkipParser())
    document = Document.parse(str(ROOT / page), *parsers)
    document.namespace["__name__"] = "__main__"
    skipped = []
    for example in document:
        try:
            example.evaluate()
        except SkipTest as reason:
            skipped.append(f"line {example.line}: {reason}")
    printed = capsys.readouterr().out
    assert all(text in printed for text in PRINTED.get(page, ()))
    if skipped:
        pytest.skip("; ".join(skipped))
    assert HOLDS.get(page, lambda names: True)(document.namespace)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_spelt_right(page: str) -> None:
    fenced = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    text = "\n".join(fenced).replace("\\\n", " ")
    for line in re.findall(r"^(?:\$ )?smoothswap (.*)$", text, re.MULTILINE):
        command, words, context = typer.main.get_command(app), shlex.split(line, comments=True), None
        while words or context is None:
            context = command.make_context("smoothswap", words, parent=context)
            if not hasattr(command, "resolve_command"):
                break
            _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
