"""Command lines: every command with any of its options and any values, in this process."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from typing import Any, get_args

import typer.main
from fuzz.case import Case, FaultError, Part
from fuzz.data_sets import _people as people
from fuzz.models import seeds as models
from fuzz.photographs import seeds as pictures
from hypothesis import strategies as st

from smoothswap.cli import app, main

_NUMBERS = ("-1", "0", "1", "2", "0.5", "nan", "inf", "1e400", "9" * 5000, "9m", "0s", "1h30m")
_FILES = ("photo.png", "deep.tif", "text.txt", "model.safetensors", "people", "people/a", "empty", "no", "no/x.png",
    "..", ".", "~", "~nobody/x", "pairs.txt")  # fmt: skip
_OUTPUTS = ("out.png", "out.npz", "out.safetensors", "out.jpg", "run", "run/recipe.json", "x" * 300 + ".png")
_NAMES = ("all", "none", "cpu", "cuda:9", "mps", "meta", "x:y", "sface", "yunet", "dlib68", "faceworld_64",
    "photos_128", "smooth_unet")  # fmt: skip
_ODD = ("", "-", "--", "a=b", "=", "é", "\udcff", "a\nb", "[bold]", "[/]", "%s", "{}", "*")
_CHANGES = ("batch_size=2", "loss.name=triplet", "images=4")
_WORDS = st.one_of(
    *map(st.sampled_from, (_NUMBERS, _FILES, _OUTPUTS, _NAMES, _ODD, _CHANGES)),
    st.text(st.characters(exclude_characters="\0/~", exclude_categories=["Cs"]), max_size=4),
)
# Otherwise a valid line starts processes, or works for minutes.
_ALWAYS = {
    "align": ("--workers", "1"), "embed": ("--workers", "0"), "verify": ("--workers", "0"),
    "faceworld": ("--size", "8"),
    "evaluate": ("--pairs", "1", "--refine", "0"), "swap": ("--refine", "0"), "demo": ("--no-photograph",),
    "train embedder": ("--for", "1s", "--set", "workers=0"),
    "train swapper": ("--for", "1s", "--set", "workers=0"),
}  # fmt: skip
_RISKY = {"--workers", "--devices"}


@functools.cache
def _commands() -> dict[str, Any]:
    def below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        own = getattr(command, "commands", None)
        if own is None:
            yield name, command
        for key, child in (own or {}).items():
            yield from below(child, f"{name} {key}".strip())

    return dict(below(typer.main.get_command(app), ""))


@functools.cache
def _files() -> dict[str, bytes]:
    return {
        **people(),
        "photo.png": pictures()["colour.png"],
        "deep.tif": pictures()["deep.tif"],
        "text.txt": b"text",
        "empty": b"",
        "model.safetensors": models()["embedder"],
        "pairs.txt": b"people/a/1.jpg people/a/2.jpg 1\npeople/a/1.jpg people/b/1.jpg 0\n" * 3,
        "run/recipe.json": models()["run/recipe.json"],
    }


@st.composite
def _lines(draw: st.DrawFn) -> list[str]:
    name = draw(st.sampled_from(sorted(_commands())))
    words = [name] if draw(st.integers(0, 30)) else [draw(_WORDS)]
    words = words[0].split(" ")
    for parameter in _commands()[name].params:
        needed = parameter.required and draw(st.integers(0, 9))
        if parameter.param_type_name == "argument":
            if needed or draw(st.booleans()):
                words.append(draw(_WORDS))
        elif (needed or draw(st.integers(0, 3)) == 0) and parameter.opts[0] not in _RISKY:
            words.append(draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts])))
            if not getattr(parameter, "is_flag", False):
                words.append(draw(_choice(parameter)))
    if draw(st.integers(0, 9)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(_WORDS))
    return [*words, *_ALWAYS.get(name, ())]


def _choice(parameter: Any) -> st.SearchStrategy[str]:
    described = getattr(parameter, "type_descriptor", None) or parameter.type  # by Typer's version
    choices = getattr(described, "choices", None) or get_args(getattr(described, "annotation", None))
    named = [choice for choice in choices if isinstance(choice, str)]
    return st.one_of(_WORDS, st.sampled_from(named)) if named else _WORDS


def _command(words: list[str]) -> Case:
    def call() -> None:
        out, err = io.StringIO(), io.StringIO()
        code: object = None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(words)
            except SystemExit as end:
                code = end.code or 0
        text = err.getvalue()
        if code not in (0, 1, 2):
            raise FaultError(f"exit code {code}: {text[:500]}")
        if any(mark in text for mark in ("Traceback", "error: unexpected ", "a fault of smoothswap")):
            raise FaultError(text[:2000] + _again(words))
        if code and not text.strip() and not out.getvalue().strip():
            raise FaultError(f"exit code {code} and not a word")

    return Case(f"smoothswap {words!r}"[:3000], call, _files(), endless=True)


def _again(words: list[str]) -> str:
    """The traceback that the command does not show."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        main(["--debug", *words])
    return "\n" + err.getvalue()


PART = Part(
    "commands",
    "every command with random options, values, and files that are there or not",
    _lines().map(_command),
    _files,
)
