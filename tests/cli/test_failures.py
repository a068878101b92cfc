"""Every mistake is answered by one paragraph and the right exit code; a traceback only when asked for."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smoothswap import api
from smoothswap.core.errors import InputError, WorkError

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["describe", "smoth_unet"], "Did you mean 'smooth_unet' (generator)?"),
        (["describe", "smooth_unet", "--kind", "generater"], "Did you mean 'generator'?"),
        (["list", "--kind", "embeder"], "Did you mean 'embedder'?"),
        (["train", "recipes", "embedder", "faceword_64"], "Did you mean 'faceworld_64'?"),
        (["train", "recipes", "swaper"], "Did you mean 'swapper'?"),
        (["train", "embedder", "--out", "x", "--recipe", "paper_265"], "Did you mean 'paper_256'?"),
        (["train", "embedder", "--out", "x", "--set", "lerning_rate=1"], "Did you mean 'learning_rate'?"),
        (["train", "embedder", "--out", "x", "--set", "images=-5"], "≥ 1"),
        (["train", "embedder", "--out", "x", "--set", "images=many"], "cannot be 'many'"),
        (["train", "embedder", "--out", "x", "--set", "images"], "--set OPTION=VALUE"),
        (["train", "embedder", "--out", "x", "--set", "embedder.name=small_resnett"], "Did you mean 'small_resnet'"),
        (["swap", "none.jpg", "none.jpg", "-o", "x.png", "--face", "-1"], "--face cannot be '-1'"),
        (["swap", "none.jpg", "none.jpg", "-o", "x.png", "--face", "first"], "a number from 0"),
        (["swap", "none.jpg", "none.jpg", "-o", "x.png", "--model", "nowhere"], "no model in 'nowhere'"),
        (["swap", "none.jpg", "none.jpg", "-o", "x.png", "--device", "tpu"], "device cannot be 'tpu'"),
        (["train", "swapper", "--out", "x", "--resume"], "no run to resume in 'x'"),
        (["train", "embedder", "--out", "x", "--resume", "--set", "images=9"], "no run to resume in 'x'"),
        (["inspect", "none.jpg"], "none.jpg"),
        (["verify", "none.txt", "--folder", ".", "-o", "x"], "cannot read the list of pairs 'none.txt'"),
        (["verify", "none.txt", "--folder", "nowhere", "-o", "x"], "there is no folder 'nowhere'"),
        (["verify", "none.txt", "--folder", ".", "-o", "x", "--embedder", "sfase"], "Did you mean 'sface'"),
        (["verify", "none.txt", "--folder", ".", "-o", "x", "--embedder", "iresnet"], "comes without weights"),
        (["evaluate", "nowhere", "-o", "x"], "nowhere"),
        (["evaluate", ".", "-o", "x"], "no photographs of two people"),
        (["evaluate", ".", "-o", "x", "--model", "nowhere"], "no model in 'nowhere'"),
        (["train", "swapper", "--out", "x", "--embedder", "sfase"], "Did you mean 'sface'"),
        (["train", "swapper", "--out", "x", "--recipe", "photos_64", "--embedder", "sface"], "--data FOLDER"),
    ],
)
def test_one_paragraph_and_exit_code_2(
    run: Run, words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run(*words)
    assert outcome.code == 2
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert "\n\n" not in outcome.err.strip()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["swp"], "swap"),
        (["swap", "a.jpg"], "TARGET"),
        (["swap", "a.jpg", "b.jpg"], "--out"),
        (["swap", "a.jpg", "b.jpg", "-o", "c.png", "--source-face", "-1"], "--source-face"),
        (["swap", "a.jpg", "b.jpg", "-o", "c.png", "--overwrit"], "--overwrite"),
        (["demo", "--pairs", "0"], "--pairs"),
        (["train", "embedder"], "--out"),
        (["train", "embedder", "--out", "x", "--devices", "0"], "--devices"),
        (["align", ".", "out", "--size", "-1"], "--size"),
        (["align", ".", "out", "--size", "99999999"], "8192"),
        (["faceworld", "out", "--size", "8193"], "8192"),
        (["faceworld", "out", "--size", "-1"], "--size"),
    ],
)
def test_wrong_use_of_the_command_line(run: Run, words: list[str], says: str) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    assert says in outcome.err
    assert "Traceback" not in outcome.err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `smoothswap list` end in an error."""

    def fail(error: BaseException) -> None:
        def raise_it(kind: str | None = None) -> object:
            raise error

        monkeypatch.setattr(api, "available", raise_it)

    return fail


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            InputError("no picture 'a'", "it is empty", hint="give another"),
            2,
            "no picture 'a'\n  it is empty\ngive another",
        ),
        (WorkError("the disk is full"), 1, "the disk is full"),
        (OSError(errno.ENOSPC, "No space left on device", "out.png"), 1, "'out.png': No space left on device"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(
    run: Run, failing: Callable[[BaseException], None], error: BaseException, code: int, says: str
) -> None:
    failing(error)
    outcome = run("list")
    assert outcome.code == code
    assert says in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 TiB for an array"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_a_lack_of_memory_is_no_fault(run: Run, failing: Callable[[BaseException], None], error: Exception) -> None:
    failing(error)
    outcome = run("list")
    assert outcome.code == 1
    assert "the memory does not suffice" in outcome.err
    assert "fault of smoothswap" not in outcome.err


def test_an_unexpected_error_points_to_debug(run: Run, failing: Callable[[BaseException], None]) -> None:
    failing(RuntimeError("shapes\ndo not fit"))
    assert "--debug" in run("list").err


@pytest.mark.parametrize("words", [["--debug", "list"], ["list", "--debug"]])
@pytest.mark.parametrize("error", [InputError("no picture"), ZeroDivisionError("division by zero")])
def test_debug_shows_the_traceback(
    run: Run, failing: Callable[[BaseException], None], words: list[str], error: Exception
) -> None:
    failing(error)
    outcome = run(*words)
    assert "Traceback (most recent call last)" in outcome.err
    assert "raise_it" in outcome.err
    assert outcome.code == getattr(error, "exit_code", 1)


@pytest.mark.parametrize("words", [["list"], ["doctor"], ["swap", "a.jpg", "b.jpg", "-o", "c.png"]])
def test_a_current_folder_that_is_gone(
    run: Run, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: the current folder does not exist any more")
    assert "cd ~" in outcome.err
