"""The processes of one run on this machine: the first starts the others, and none waits for one that is gone.

A collective operation waits for every process. With gloo it fails as soon as one has died, with NCCL it may go on
waiting; and what it then says is not what happened. So the first process watches those that it started, and they
watch it. Where they were started by somebody else (torchrun, a cluster), that one has the watch.

Torch elastic's own launcher is not behind `devices`, since its processes train on when it is killed itself, a Ctrl-C
leaves them 30 seconds to save, and no message of it says what to type.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch.distributed as dist

from smoothswap.core.errors import ConfigError, SmoothSwapError, WorkError

TIMEOUT = 1800.0  # seconds; the first process validates and saves while the others wait for it
LOST = 3  # exit code of a process that ends because others have; the first one tells why
_GRACE = 10.0  # seconds that a process has to end by itself after another one died
_PARENT = "SMOOTHSWAP_FIRST_PROCESS"
_started: list[subprocess.Popen[bytes]] = []


def start(environment: Mapping[str, str], count: int) -> None:
    """Start the processes 1 … count − 1 of a run: this very command once more each.

    Args:
        environment: what all of them need to find each other; it is set in this process too.
        count: number of processes, this one included.

    Raises:
        ConfigError: this Python was not started by a command that could be given again.
    """
    os.environ.update({**environment, "LOCAL_RANK": "0", "WORLD_SIZE": str(count)})
    command = _command()
    for rank in range(1, count):
        own = {"LOCAL_RANK": str(rank), _PARENT: str(os.getpid())}
        # What a program prints is said once, by the first process; errors are everybody's own.
        _started.append(subprocess.Popen(command, env={**os.environ, **own}, stdout=subprocess.DEVNULL))
    atexit.register(_wait_for_all)


def _command() -> list[str]:
    """What starts this program again."""
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is not None:
        return [sys.executable, "-m", main.__spec__.name, *sys.argv[1:]]  # type: ignore[union-attr]
    if not Path(sys.argv[0]).is_file():
        raise ConfigError(
            "several devices need a program that can be started once for each of them",
            "this Python runs no file, but a line or a notebook",
            hint="put the call into a file, or use `smoothswap train`",
        )
    return [sys.executable, str(Path(sys.argv[0]).resolve()), *sys.argv[1:]]


@contextlib.contextmanager
def watched(rank: int, count: int, *, resume: str = "", folder: Path | None = None) -> Iterator[None]:
    """Around the work that processes share: when one of them is gone, this one ends and says which, and what to do.

    Args:
        rank: number of this process.
        count: number of processes.
        resume: command that takes up the run again.
        folder: the run's folder, whose files the message names.

    Raises:
        WorkError: another process has ended, or none answered within the timeout.
    """
    if count == 1:
        yield
        return
    watch = _Watch(rank, count, resume, folder)
    watch.start()
    try:
        yield
    except Exception as error:
        if isinstance(error, SmoothSwapError) or not _is_loss(error):
            raise
        raise watch.meaning(error) from error
    finally:
        watch.over.set()
        if sys.exc_info()[0] is not None:
            _kill_all()


class _Watch(threading.Thread):
    """Ends this process when another one is gone and the main thread cannot end it, since it waits in a collective."""

    def __init__(self, rank: int, count: int, resume: str, folder: Path | None) -> None:
        super().__init__(daemon=True, name="smoothswap-processes")
        self.rank, self.count, self.resume, self.folder = rank, count, resume, folder
        self.over = threading.Event()

    def run(self) -> None:
        """Look twice a second."""
        while not self.over.wait(0.5):
            if self.gone() is None:
                continue
            if self.over.wait(_GRACE):
                return
            print(f"error: {self.message(self.gone())}", file=sys.stderr, flush=True)
            _kill_all()
            os._exit(WorkError.exit_code)

    def gone(self) -> tuple[int, int | None] | None:
        """Number and exit code of a process that has ended by a fault of its own."""
        parent = os.environ.get(_PARENT)
        if parent is not None:
            return (0, None) if os.getppid() != int(parent) else None
        codes = {rank: process.poll() for rank, process in enumerate(_started, start=1)}
        ended = {rank: code for rank, code in codes.items() if code not in (None, 0)}
        own = {rank: code for rank, code in ended.items() if code != LOST}
        return next(iter((own or ended).items()), None)

    def meaning(self, error: Exception) -> BaseException:
        """What an error of a collective means: to be raised in its place."""
        gone, until = self.gone(), time.monotonic() + _GRACE
        if _started:
            # The connection is lost a moment before the exit code is there, and another may have lost the same one.
            while time.monotonic() < until and (gone is None or gone[1] == LOST):
                time.sleep(0.1)
                gone = self.gone()
        elif _PARENT in os.environ:
            time.sleep(1)  # time for the first process to be gone, if it is the one
            if (gone := self.gone()) is None:
                return SystemExit(LOST)  # it is there, and tells
        return self.message(gone, error)

    def message(self, gone: tuple[int, int | None] | None, error: Exception | None = None) -> WorkError:
        """What happened, what there is, what to type."""
        if gone is None:
            what = f"process {self.rank} of {self.count} (counted from 0) lost the others"
            facts = [*str(error).splitlines()[:1]]
        else:
            rank, code = gone
            what = f"process {rank} of {self.count} (counted from 0) {_ending(code)}"
            facts = [_meaning(code)]
        if self.folder is not None:
            saved = next(self.folder.glob("checkpoint-last.*"), None)
            facts.append(f"the last checkpoint is {str(saved)!r}" if saved else "there was no checkpoint yet")
        return WorkError(what, *filter(None, facts), hint=f"continue with `{self.resume}`" if self.resume else "")


def _ending(code: int | None) -> str:
    if code is None:
        return "is gone"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _meaning(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL is `kill -9`, or the system when the memory is full"
    return "its own message stands above" if code is not None and code > 0 else ""


def _is_loss(error: Exception) -> bool:
    """Whether an error says that a collective failed, and not what went wrong before it."""
    if isinstance(error, dist.DistError):
        return True
    words = ("gloo", "Gloo", "NCCL", "c10d", "Connection")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def how_to_resume(kind: str, out: Path, accelerator: str, devices: int) -> str:
    """The command that takes a run up again, on as many devices as it had; under torchrun on as many machines."""
    program = "torchrun … -m smoothswap" if dist.is_torchelastic_launched() else "smoothswap"
    asked = "" if accelerator == "auto" else f" --accelerator {accelerator}"
    return f"{program} train {kind} --out {shlex.quote(str(out))} --resume" + (
        f"{asked} --devices {devices}" if devices > 1 else ""
    )


def _kill_all() -> None:
    """They hold nothing that is not in the last checkpoint, which the first process writes."""
    for process in _started:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_for_all() -> None:
    until = time.monotonic() + _GRACE
    for process in _started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    _kill_all()
