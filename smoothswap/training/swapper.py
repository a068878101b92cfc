"""Training of a swapper: a generator against a discriminator, with a frozen embedder that says whose face it is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from smoothswap.core.errors import CheckpointError, ConfigError
from smoothswap.core.files import write_aside
from smoothswap.data.sampler import ShuffleSampler
from smoothswap.modules import weights
from smoothswap.training.batches import Batches
from smoothswap.training.broken import broken_in
from smoothswap.training.device import make_fabric, seed_step
from smoothswap.training.ema import Ema
from smoothswap.training.embedder import EMBEDDER
from smoothswap.training.folder import keep_recipe, open_folder
from smoothswap.training.game import Game
from smoothswap.training.health import Health
from smoothswap.training.held_out import build_held_out
from smoothswap.training.loop import BestWeights, Loop, TrainResult
from smoothswap.training.optimizers import (
    average_gradients,
    gan_optimizer,
    restore_optimizer,
    set_learning_rate,
    step,
)
from smoothswap.training.parts import build_data, share
from smoothswap.training.processes import TIMEOUT, how_to_resume, watched
from smoothswap.training.recipes import SwapperRecipe
from smoothswap.training.samples import Pairs
from smoothswap.training.schedule import learning_rate
from smoothswap.training.stopping import Deadline
from smoothswap.training.swap_validation import measure_swapper, psnr

GENERATOR, DISCRIMINATOR = "generator.safetensors", "discriminator.safetensors"
_MEASURED = 64  # pairs of a validation
_MEMORY = 2_000  # images over which the running identity loss remembers


def train_swapper(
    recipe: SwapperRecipe | None,
    out: Path | str,
    *,
    embedder: Path | str | None = None,
    resume: bool = False,
    duration: float | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    precision: str = "auto",
    progress: bool = True,
    timeout: float = TIMEOUT,
) -> TrainResult:
    """Train a generator and write it, with its embedder, log, samples and checkpoints, into a folder.

    Args:
        recipe: what to train and how; None when resuming takes the recipe of the run.
        out: the run's folder; it can be given to `smoothswap.swap(model=…)`.
        embedder: file of the frozen identity embedder; a resumed run has its own copy.
        resume: continue the run in the folder, bit for bit.
        duration: seconds after which this call stops, saved and resumable; see `Deadline`. None trains to the end.
        accelerator: `auto`, `cpu`, `cuda`.
        devices: devices on this machine.
        precision: `auto`, `32-true`, `bf16-mixed`.
        progress: show a progress bar, or a line every half minute where there is no terminal.
        timeout: seconds for which a process waits for the others, where there are several.

    Raises:
        ConfigError: the folder holds a run already, the recipe does not fit the run, the device or the data.
        InputError: data or embedder cannot be read, or there is nothing to resume.
        CheckpointError: no checkpoint of the run, or not the embedder, can be read.
        WorkError: the training diverged, the disk is full, or a process is gone.
    """
    deadline = Deadline(duration)
    out = Path(out)
    recipe = open_folder(recipe, out, "swapper", resume=resume)
    if embedder is None and not (resume and (out / EMBEDDER).is_file()):
        raise ConfigError(
            "training a swapper needs an embedder",
            hint="name the embedder.safetensors of `smoothswap train embedder`: --embedder FILE",
        )
    embedder_file = out / EMBEDDER if embedder is None else Path(embedder)
    command = how_to_resume("swapper", out, accelerator, devices)
    fabric = make_fabric(accelerator, devices, precision, timeout)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    with watched(fabric.global_rank, fabric.world_size, resume=command, folder=out):
        work = SwapperWork(recipe, fabric, embedder_file)
        if fabric.global_rank == 0:
            _keep_copy(embedder_file, out / EMBEDDER)
            keep_recipe(recipe, out)
        return Loop(
            work, recipe, out, fabric, resume=resume, progress=progress, resume_command=command, deadline=deadline
        ).run()


def _keep_copy(file: Path, copy: Path) -> None:
    """Put the embedder beside the generator, which is of no use without it."""
    if copy.exists() and _sha256(copy) == _sha256(file):
        return
    with write_aside(copy) as aside:
        shutil.copyfile(file, aside)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class SwapperWork:
    """The players, the frozen embedders, the losses, the average and the data of one training.

    Args:
        recipe: what to build.
        fabric: the engine.
        embedder_file: the embedder whose vectors the generator takes.

    Raises:
        ConfigError, InputError, CheckpointError, UnknownNameError: parts that cannot be had or do not fit together.
    """

    weights_name = GENERATOR

    def __init__(self, recipe: SwapperRecipe, fabric: Fabric, embedder_file: Path) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.batch_size = recipe.batch_size
        own = share(recipe.batch_size, fabric.world_size, recipe.accumulate, "images")
        if recipe.self_pairs >= own // recipe.accumulate:
            raise ConfigError(
                f"self_pairs cannot be {recipe.self_pairs}: a part of a batch has {own // recipe.accumulate} images",
                hint="keep at least one pair of different pictures in each part",
            )
        self.memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.embedder_hash = _sha256(embedder_file) if embedder_file.is_file() else ""
        files = [embedder_file, *map(Path, recipe.identity_embedders)]
        seed_step(recipe.seed, 0, 0)  # the same weights in every process: they depend on the seed alone
        self.game = Game(recipe, fabric, files)
        self.generator, self.discriminator = self.game.generator, self.game.discriminator
        self.ema = Ema(self.generator, recipe.ema_half_life, recipe.ema_rampup)
        self.generator_optimizer = gan_optimizer(self.generator, recipe.learning_rate, recipe.betas, fabric.device)
        self.discriminator_optimizer = gan_optimizer(
            self.discriminator, recipe.discriminator_learning_rate, recipe.betas, fabric.device
        )
        self.data = data = build_data(recipe.data, recipe.image_size, fabric)
        self.held_out = build_held_out(recipe, fabric)
        self.targets, self.sources = (
            Batches(
                data,
                ShuffleSampler(
                    len(data), recipe.batch_size, seed, rank=fabric.global_rank, world_size=fabric.world_size
                ),
                fabric.device,
                workers=recipe.workers,
                memory_format=self.memory_format,
            )
            for seed in (2 * recipe.seed, 2 * recipe.seed + 1)
        )
        self.running_identity = torch.ones((), device=fabric.device)
        self.late_since: int | None = None
        self.health = Health(recipe.copy_alarm_after)
        self._pairs: Pairs | None = None

    def step(self, images: int) -> dict[str, Tensor]:
        """One step of both players."""
        recipe = self.recipe
        number = images // self.batch_size
        self.generator.train()
        self.discriminator.train()
        set_learning_rate(self.generator_optimizer, learning_rate(recipe, recipe.learning_rate, images))
        set_learning_rate(
            self.discriminator_optimizer, learning_rate(recipe, recipe.discriminator_learning_rate, images)
        )
        targets = self.targets.next().images.chunk(recipe.accumulate)
        sources = self.sources.next().images.chunk(recipe.accumulate)
        parts = [
            self.game.backward(
                target,
                source,
                change_weight=self.change_weight,
                with_r1=number % recipe.r1_every == 0,
            )
            for target, source in zip(targets, sources, strict=True)
        ]
        values = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            average_gradients(self.fabric, optimizer)
            step(optimizer, recipe.clip_gradients)
        self.ema.update(self.generator, self.batch_size, images + self.batch_size)
        self.running_identity.lerp_(values["loss_identity"], 1 - 0.5 ** (self.batch_size / _MEMORY))
        return values

    @property
    def change_weight(self) -> float:
        """λ_chg as it is now."""
        return self.recipe.change_weight if self.late_since is None else self.recipe.change_weight_late

    def reflect(self, means: Mapping[str, float], images: int) -> list[str]:
        """Update the health panel, and raise λ_chg for good once the identity loss has come down."""
        running = self.running_identity.clone()
        if self.fabric.world_size > 1:
            self.fabric.all_reduce(running, reduce_op="mean")
        swaps = float(running) < self.recipe.identity_threshold or images >= self.recipe.change_late_from
        if self.late_since is None and swaps:
            self.late_since = images
        numbers = {**means, "psnr_target": psnr(means["mse_target"])}
        return self.health.update(numbers, images)

    def panel(self) -> str:
        """The health panel."""
        return f"{self.health.line()} · λ_chg {self.change_weight:g}"

    def validate(self, images: int) -> tuple[dict[str, float], Tensor | None]:
        """How the averaged generator does on held-out pairs (see `measure_swapper`)."""
        if self.held_out is None:
            return {}, None
        if self._pairs is None:
            self._pairs = Pairs(self.held_out, _MEASURED, self.recipe.seed)
        generator, f = self.ema.module, self.game.embedders[0]
        return measure_swapper(generator, f, self._pairs, self.fabric.device, self.memory_format)

    def enough(self) -> bool:
        """Never: no figure alone says when a swapper is at its best."""
        return False

    def best(self, folder: Path) -> BestWeights | None:
        """None; the last average is what counts."""
        return None

    def broken(self) -> list[str]:
        """The pictures that could not be read so far."""
        return broken_in(self.data)

    def state(self) -> dict[str, Any]:
        """Weights, average, optimisers, position in the data, course of λ_chg, panel."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "ema": self.ema.module.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "targets": self.targets.state(),
            "sources": self.sources.state(),
            "running_identity": self.running_identity,
            "late_since": self.late_since,
            "health": self.health.state(),
            "embedder_hash": self.embedder_hash,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state.

        Raises:
            CheckpointError: weights that do not fit, or another embedder than the run's.
        """
        if state["embedder_hash"] != self.embedder_hash:
            raise CheckpointError(
                "the run was started with another embedder",
                f"sha256 {state['embedder_hash'][:12]}… then, {self.embedder_hash[:12]}… now",
                hint="resume without naming an embedder: the run has its own copy",
            )
        for name, module in (
            ("generator", self.generator),
            ("discriminator", self.discriminator),
            ("ema", self.ema.module),
        ):
            weights.load_into(module, state[name], where=f"checkpoint: {name}")
        restore_optimizer(self.generator_optimizer, state["generator_optimizer"])
        restore_optimizer(self.discriminator_optimizer, state["discriminator_optimizer"])
        self.targets.restore(state["targets"])
        self.sources.restore(state["sources"])
        self.running_identity.copy_(state["running_identity"])
        self.late_since = state["late_since"]
        self.health.restore(state["health"])

    def save_weights(self, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the averaged generator and the discriminator."""
        notes = {**notes, "embedder_sha256": self.embedder_hash}
        weights.save(self.discriminator, folder / DISCRIMINATOR, notes=notes)
        return weights.save(self.ema.module, folder / GENERATOR, notes=notes)
