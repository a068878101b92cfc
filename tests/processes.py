"""Runs a function in several processes that form a gloo group, and gives back what each returns.

`torch.multiprocessing.start_processes` kills the others when one has died, and here what the others hear is asked.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, instead of in every forked process
import torch.distributed as dist
import torch.multiprocessing

# Forked, a process is there in milliseconds; but not after a GPU has been used.
_START = "spawn" if torch.cuda.is_available() else "fork"


class EndedError(RuntimeError):
    """A process of the group ended without a result."""


def in_processes(count: int, work: Callable[..., Any], *arguments: Any, limit: float = 60) -> list[Any]:
    """What `work(*arguments)` returns in each of `count` processes, in order of rank.

    Raises:
        EndedError: a process raised or died, or none came to its end within `limit` seconds; with what they wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = torch.multiprocessing.get_context(_START)
        processes = [
            context.Process(target=_run, args=(rank, count, folder, work, arguments), daemon=True)
            for rank in range(count)
        ]
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork after threads were started, which torch always has.
            warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
            for process in processes:
                process.start()
        for process in processes:
            process.join(limit)
        late = [process for process in processes if process.is_alive()]
        for process in late:
            process.kill()
            process.join()
        found = []
        for rank in range(count):
            path = Path(folder) / str(rank)
            found.append(pickle.loads(path.read_bytes()) if path.exists() else (False, "it died"))
        bad = [f"process {rank}: {what}" for rank, (good, what) in enumerate(found) if not good]
        if late or bad:
            raise EndedError("\n".join([f"{len(late)} processes were still at work", *bad]))
        return [what for _, what in found]


def _run(rank: int, count: int, folder: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    store = dist.FileStore(f"{folder}/store", count)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=timedelta(seconds=30))
    try:
        result = (True, work(*arguments))
    except BaseException:
        result = (False, traceback.format_exc())
    with contextlib.suppress(RuntimeError):
        dist.barrier()  # nobody closes its connections while another still reads from them
    aside = Path(folder) / f".{rank}"
    aside.write_bytes(pickle.dumps(result))
    aside.rename(Path(folder) / str(rank))
    # Straight out: pytest's own endings belong to the process that this one was forked from.
    os._exit(0)
