"""A run's folder has one process at a time, and none that is dead."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from training.tiny import DATA

from smoothswap.core.errors import ConfigError
from smoothswap.training import EmbedderRecipe, train_embedder
from smoothswap.training import run_lock as module
from smoothswap.training.folder import without_traces
from smoothswap.training.run_lock import LOCK, run_lock

HOLD = """
import sys, time
from pathlib import Path
from smoothswap.training.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def held_elsewhere(folder: Path) -> Iterator[int]:
    """Another process holds the lock, and is killed at the end; its number."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process.pid
        finally:
            process.kill()


def test_another_process_is_refused_by_the_number_of_the_first(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as number:
        words = rf"is being trained by process {number} on [\s\S]*`kill {number}`"
        with pytest.raises(ConfigError, match=words), run_lock(tmp_path):
            pass
        with run_lock(tmp_path, wanted=False):  # a further process of the same run
            pass
    with run_lock(tmp_path):  # it died without a word
        assert (tmp_path / LOCK).read_text().split()[0] == str(os.getpid())
    assert not (tmp_path / LOCK).exists()


def test_a_lock_file_that_nobody_holds_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("1 elsewhere and much more than that\n")
    with run_lock(tmp_path):
        assert len((tmp_path / LOCK).read_text().split()) == 2
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"), run_lock(tmp_path):
            pass


def test_a_forked_worker_does_not_keep_it(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        time.sleep(0.2)
    with run_lock(tmp_path):
        pass
    assert worker.is_alive()
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()


def test_where_there_are_no_locks_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fcntl", None)
    with run_lock(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()

    def refuse(handle: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module, "_lock", refuse)
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize("resume", [False, True])
def test_a_training_holds_it_and_leaves_nothing(
    tmp_path: Path, embedder_recipe: Callable[..., EmbedderRecipe], resume: bool
) -> None:
    out = tmp_path / "run"
    recipe = embedder_recipe(data=DATA, images=16)
    if resume:
        train_embedder(recipe, out, accelerator="cpu", progress=False)
        log = (out / "train.jsonl").read_bytes()
    out.mkdir(exist_ok=True)
    with held_elsewhere(out) as number, pytest.raises(ConfigError, match=f"is being trained by process {number}"):
        train_embedder(recipe, out, resume=resume, accelerator="cpu", progress=False)
    if resume:
        assert (out / "train.jsonl").read_bytes() == log
    else:
        assert train_embedder(recipe, out, accelerator="cpu", progress=False).finished
        assert not (out / LOCK).exists()


def test_a_process_that_is_refused_leaves_the_run_of_the_other_alone(tmp_path: Path) -> None:
    """Both begin on a new folder; the other takes the lock first, and has written by the time this one is refused."""
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="refused"), without_traces(out):
        out.mkdir()
        for name in (LOCK, "recipe.json", "train.jsonl"):
            (out / name).write_text("of the other")
        raise ConfigError("refused")
    assert sorted(path.name for path in out.iterdir()) == ["recipe.json", LOCK, "train.jsonl"]
    (out / LOCK).unlink()
