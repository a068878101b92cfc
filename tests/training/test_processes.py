"""Training with several processes: the steps of the joint batch, and no waiting for a process that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from lightning_fabric import Fabric
from processes import in_processes
from torch import Tensor
from training.tiny import KNOWN

from smoothswap.cli.failures import report
from smoothswap.core.errors import ConfigError, InputError
from smoothswap.training import EmbedderRecipe, Part, processes, train_embedder
from smoothswap.training.batches import Batch, Batches
from smoothswap.training.checkpoint import LAST, read_checkpoint
from smoothswap.training.device import make_fabric
from smoothswap.training.embedder import EmbedderWork

Make = Callable[..., EmbedderRecipe]
LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
CUT = [5, 3]  # in the middle of a person
LOSSES = {
    "gather": Part("supcon"),
    "ring": Part("supcon", {"exchange": "ring"}),
    "hard": Part("triplet", {"margin": 1.0}),
    "arcface": Part("arcface"),
    "softmax": Part("softmax"),
    "attributes": Part("supcon_attributes"),
    "attributes apart": Part("supcon_attributes", {"exchange": "ring", "weight": 20.0}),
}
no_fork = pytest.mark.skipif(torch.cuda.is_available(), reason="forks, which a process that used a GPU cannot")


class Slices:
    """Two given batches, of which a process takes its part."""

    def __init__(self, part: slice) -> None:
        self.part, self.seed = part, 0

    def next(self) -> Batch:
        self.seed += 1
        faces = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(self.seed)) * 2 - 1
        return Batch(faces[self.part], LABELS[self.part])


def two_steps(recipe: EmbedderRecipe, fabric: Fabric, part: slice) -> tuple[dict[str, Tensor], list[float]]:
    """Weights, and losses averaged as the log does it."""
    work = EmbedderWork(recipe, fabric)
    for module in work.embedder.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            # BatchNorm measures each process's part of a batch by itself; the rest must not differ at all.
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign,misc]
            module.training = False
    work.batches = Slices(part)  # type: ignore[assignment]
    work.augment = lambda faces, generator: faces  # type: ignore[assignment]
    losses = []
    for images in (16, 24):
        loss = work.step(images)["loss"]
        losses.append(float(fabric.all_reduce(loss, reduce_op="mean")))
    return {**work.embedder.state_dict(), **work.loss.state_dict()}, losses


def each_in_two_processes(recipes: Mapping[str, EmbedderRecipe]) -> dict[str, Any]:
    rank = dist.get_rank()
    os.environ.update(LOCAL_RANK=str(rank), WORLD_SIZE="2")
    fabric = make_fabric("cpu", 2, "32-true")
    part = slice(0, CUT[0]) if rank == 0 else slice(CUT[0], 8)
    return {name: two_steps(recipe, fabric, part) for name, recipe in recipes.items()}


def joins_torchruns_processes(machines: int, devices: int) -> tuple[int, int]:
    rank = dist.get_rank()
    os.environ.update(
        TORCHELASTIC_RUN_ID="1", RANK=str(rank), LOCAL_RANK=str(rank % devices), WORLD_SIZE=str(machines * devices),
        LOCAL_WORLD_SIZE=str(devices), GROUP_RANK=str(rank // devices), MASTER_ADDR="localhost", MASTER_PORT="1",
    )  # fmt: skip
    fabric = make_fabric("cpu", devices, "32-true")
    return fabric.global_rank, fabric.world_size


@pytest.mark.parametrize(("machines", "devices"), [(2, 1), (1, 2), (2, 2), (3, 1)])
def test_the_processes_of_torchrun_are_joined_on_all_machines(machines: int, devices: int) -> None:
    count = machines * devices
    assert in_processes(count, joins_torchruns_processes, machines, devices) == [(rank, count) for rank in range(count)]


@pytest.mark.parametrize(("started", "devices"), [(2, 1), (1, 2), (4, 3)])
def test_torchrun_started_another_number(monkeypatch: pytest.MonkeyPatch, started: int, devices: int) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(started))
    monkeypatch.setenv("WORLD_SIZE", str(2 * started))
    with pytest.raises(ConfigError, match=f"torchrun started {started} process") as error:
        make_fabric("cpu", devices, "32-true")
    assert f"--devices {started}" in str(error.value)


def test_two_processes_make_the_steps_of_one(embedder_recipe: Make) -> None:
    network = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "head": "linear"}
    recipes = {
        name: embedder_recipe(
            data=KNOWN, loss=loss, embedder=Part("small_resnet", network), optimizer="sgd", learning_rate=0.1
        )
        for name, loss in LOSSES.items()
    }
    found = in_processes(2, each_in_two_processes, recipes)
    for name, recipe in recipes.items():
        start = EmbedderWork(recipe, Fabric(accelerator="cpu", devices=1)).embedder.state_dict()
        weights, losses = two_steps(recipe, Fabric(accelerator="cpu", devices=1), slice(0, 8))
        assert losses[0] != losses[1]
        for each_weights, each_losses in (each[name] for each in found):
            torch.testing.assert_close(each_losses, losses, rtol=1e-5, atol=1e-5)
            for key, weight in weights.items():
                torch.testing.assert_close(each_weights[key], weight, rtol=1e-4, atol=1e-5)
        assert max((weights[key] - start[key]).abs().max() for key in start) > 1e-2  # the steps are no trifle


class Forked:
    """Stands in for subprocess.Popen: the other process is a fork that trains, without the seconds of a new Python."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], stdout: int) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.environ.update(env)
            processes._started.clear()
            train(1, *Forked.work)

    work: tuple[Any, ...]

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(0.02)
        return self.poll() or 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def train(rank: int, recipe: EmbedderRecipe, folder: Path, trouble: Callable[[int, int], None]) -> None:
    """One process of a training from its start to its exit code, with trouble at every batch."""
    original = Batches.next
    seen = [0]

    def next_batch(self: Batches) -> Batch:
        trouble(rank, seen[0])
        seen[0] += 1
        return original(self)

    Batches.next = next_batch  # type: ignore[method-assign]
    code = 0
    try:
        trouble(rank, -1)
        timeout = 4 if trouble is hanging else 60
        train_embedder(recipe, folder / "run", accelerator="cpu", devices=2, progress=False, timeout=timeout)
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException as error:
        traceback.print_exception(error, file=(folder / f"traceback{rank}").open("w"))
        code = report(error, debug=False)
    processes._wait_for_all()
    os._exit(code)


def first(recipe: EmbedderRecipe, folder: Path, trouble: Callable[[int, int], None]) -> None:
    with (folder / "stderr").open("w") as file:
        os.dup2(file.fileno(), 2)
        sys.stderr = file
        processes.subprocess.Popen = Forked  # type: ignore[assignment,misc]
        processes._command = list  # type: ignore[assignment]
        processes._GRACE = 1.5
        Forked.work = (recipe, folder, trouble)
        train(0, recipe, folder, trouble)


def run(recipe: EmbedderRecipe, folder: Path, trouble: Callable[[int, int], None]) -> tuple[int, str]:
    """Exit code of the first process of two and what both said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        process = torch.multiprocessing.get_context("fork").Process(target=first, args=(recipe, folder, trouble))
        process.start()
    process.join(40)
    late = process.is_alive()
    if late:
        process.kill()
    said = " ".join((folder / "stderr").read_text().split())
    assert not late, said
    return process.exitcode or 0, said


def killed(rank: int, step: int) -> None:
    if (rank, step) == (1, 5):
        os.kill(os.getpid(), signal.SIGKILL)


def unreadable(rank: int, step: int) -> None:
    if (rank, step) == (1, 5):
        raise InputError("the folder 'faces' is gone")


def unreadable_for_the_first(rank: int, step: int) -> None:
    if (rank, step) == (0, 5):
        raise InputError("the folder 'faces' is gone")


def hanging(rank: int, step: int) -> None:
    if (rank, step) == (1, 5):
        time.sleep(60)


def dead_at_once(rank: int, step: int) -> None:
    if (rank, step) == (1, -1):
        os._exit(9)


@no_fork
@pytest.mark.parametrize(
    ("trouble", "code", "texts"),
    [
        (killed, 1, ["process 1 of 2 (counted from 0) was killed by SIGKILL"]),
        (unreadable, 1, ["the folder 'faces' is gone", "process 1 of 2 (counted from 0) ended with exit code 2"]),
        (unreadable_for_the_first, 2, ["the folder 'faces' is gone"]),
        (hanging, 1, ["process 0 of 2 (counted from 0) lost the others", "4000ms"]),
        (dead_at_once, 1, ["process 1 of 2 (counted from 0) ended with exit code 9"]),
    ],
)
def test_a_process_that_is_gone_ends_the_run(
    tmp_path: Path, embedder_recipe: Make, trouble: Callable[[int, int], None], code: int, texts: list[str]
) -> None:
    ended, said = run(embedder_recipe(checkpoint_every=16, images=400), tmp_path, trouble)
    assert ended == code, said
    assert all(text in said for text in texts), said
    if trouble is dead_at_once:
        return
    if code == 1:
        assert "checkpoint-last.safetensors" in said
        assert f"continue with `smoothswap train embedder --out {tmp_path}/run --resume" in said
        assert "--accelerator cpu --devices 2`" in said
    assert read_checkpoint(tmp_path / "run" / LAST)["images"] == 32


def control_c(rank: int, step: int) -> None:
    if (rank, step) == (1, 5):
        os.kill(os.getppid(), signal.SIGINT)


@no_fork
def test_an_interruption_of_one_process_is_one_of_all(tmp_path: Path, embedder_recipe: Make) -> None:
    code, said = run(embedder_recipe(images=400), tmp_path, control_c)
    assert code == 0, said
    # Asked at every sixteenth step, saved by the first process when all have left the loop.
    assert read_checkpoint(tmp_path / "run" / LAST)["images"] == 128
    assert not (tmp_path / "traceback1").exists()


@pytest.mark.parametrize(
    ("devices", "accelerator", "options"),
    [(1, "auto", ""), (2, "auto", " --devices 2"), (2, "cpu", " --accelerator cpu --devices 2")],
)
def test_how_to_resume(monkeypatch: pytest.MonkeyPatch, devices: int, accelerator: str, options: str) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    command = f"smoothswap train embedder --out 'my runs' --resume{options}"
    assert processes.how_to_resume("embedder", Path("my runs"), accelerator, devices) == command
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")  # as torchrun sets it
    command = f"torchrun … -m {command}"
    assert processes.how_to_resume("embedder", Path("my runs"), accelerator, devices) == command


def test_a_timeout_that_is_none(tmp_path: Path, embedder_recipe: Make) -> None:
    with pytest.raises(ConfigError, match="timeout cannot be 0"):
        train_embedder(embedder_recipe(), tmp_path / "run", accelerator="cpu", timeout=0)
