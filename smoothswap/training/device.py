"""The engine: Lightning Fabric on the device, precision and number of processes that a run asks for."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import Literal, cast

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from smoothswap.core.errors import ConfigError
from smoothswap.training import processes

PRECISIONS = ("auto", "32-true", "bf16-mixed")
_Precision = Literal["32-true", "bf16-mixed"]


def make_fabric(accelerator: str, devices: int, precision: str, timeout: float = processes.TIMEOUT) -> Fabric:
    """Launch Fabric; with several devices this starts the other processes (or joins those of `torchrun`).

    Args:
        accelerator: `auto`, `cpu`, `cuda`, …
        devices: processes on this machine, one a device.
        precision: `32-true`, `bf16-mixed`, or `auto`: bfloat16 on GPUs that compute in it, else float32. CPUs take
            float32, since bfloat16 only saves memory there.
        timeout: seconds for which a process waits for the others before it gives up.

    Raises:
        ConfigError: a device or precision that is not there, or another number of devices than torchrun's processes.
        WorkError: one of the other processes ended at once.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision cannot be {precision!r}", f"allowed: {', '.join(PRECISIONS)}")
    if devices < 1:
        raise ConfigError(f"devices cannot be {devices}", "allowed: ≥ 1")
    if not 0 < timeout < float("inf"):
        raise ConfigError(f"timeout cannot be {timeout}", "allowed: more than 0 seconds")
    if precision == "auto":
        fast = accelerator != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if fast else "32-true"
    machines = _machines(devices)
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=machines,
            strategy="auto" if devices * machines == 1 else DDPStrategy(timeout=timedelta(seconds=timeout)),
            precision=cast("_Precision", precision),
        )
    except (ValueError, RuntimeError) as cause:
        raise ConfigError(
            f"cannot train on {devices} device(s) of {accelerator!r}", str(cause), hint="try --accelerator cpu"
        ) from cause
    if isinstance(fabric.strategy, DDPStrategy):
        _launch(fabric, fabric.strategy, devices, devices * machines)
    else:
        fabric.launch()
    return fabric


def _machines(devices: int) -> int:
    """How many machines share the run: those of torchrun, else this one alone."""
    if not dist.is_torchelastic_launched():
        return 1
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    if here != devices:
        raise ConfigError(
            f"devices cannot be {devices}",
            f"torchrun started {here} process{'es' * (here != 1)} on this machine",
            hint=f"give `--devices {here}`, or `--nproc-per-node {devices}` to torchrun",
        )
    return int(os.environ["WORLD_SIZE"]) // here


def _launch(fabric: Fabric, strategy: DDPStrategy, devices: int, count: int) -> None:
    environment = strategy.cluster_environment
    # Fabric would start the other processes too, and kill this one without a word when one of them has died.
    if isinstance(environment, LightningEnvironment) and not environment.creates_processes_externally:
        found_at = {"MASTER_ADDR": environment.main_address, "MASTER_PORT": str(environment.main_port)}
        processes.start({**found_at, "NODE_RANK": str(environment.node_rank())}, devices)
    alone = isinstance(environment, LightningEnvironment)  # on this machine: its global rank comes with the launch
    rank = 0 if environment is None else environment.local_rank() if alone else environment.global_rank()
    with processes.watched(rank, count):
        fabric.launch()


def seed_step(seed: int, rank: int, images: int) -> None:
    """Seed every generator for one step.

    What a step draws then depends on seed, process and images seen only, so that a resumed run draws what the
    uninterrupted one would have, and measuring in between changes nothing.
    """
    mixed = int(np.random.SeedSequence([seed, rank, images]).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(mixed)
    random.seed(mixed)
    np.random.seed(mixed % 2**32)  # noqa: NPY002 (plugins may use the global generator)
