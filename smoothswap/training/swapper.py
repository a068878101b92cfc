"""Training of a swapper: a generator against a discriminator, with a frozen embedder that says whose face it is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from smoothswap.core.errors import CheckpointError, ConfigError
from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.core.files import as_path, file_sha256, write_aside
from smoothswap.core.interfaces import FaceDataset
from smoothswap.core.old_names import CHECKPOINT, renamed
from smoothswap.core.progress import progress_shown
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.losses.swap_batch import Need
from smoothswap.modules import weights
from smoothswap.modules.pretrained import embedder_path
from smoothswap.training.broken import broken_in
from smoothswap.training.device import make_fabric, seed_step
from smoothswap.training.ema import Ema
from smoothswap.training.embedder import EMBEDDER
from smoothswap.training.folder import keep_recipe, open_folder, without_traces
from smoothswap.training.gan_step import GanStep
from smoothswap.training.health import Health
from smoothswap.training.held_out import build_held_out, describe_data
from smoothswap.training.loop import BestWeights, Loop, TrainResult
from smoothswap.training.optimizers import (
    average_gradients,
    gan_optimizer,
    restore_optimizer,
    set_learning_rate,
    step,
)
from smoothswap.training.overrides import without_folder
from smoothswap.training.parts import build_data, check_data, check_part, share
from smoothswap.training.processes import TIMEOUT, how_to_resume, watched
from smoothswap.training.recipes import SwapperRecipe
from smoothswap.training.run_lock import run_lock
from smoothswap.training.samples import Pairs
from smoothswap.training.schedule import learning_rate
from smoothswap.training.start_from import check_start, keep_start, no_start, resolve_start, start_weights
from smoothswap.training.stopping import Deadline
from smoothswap.training.swap_inputs import SwapData, knows_truth, share_out
from smoothswap.training.swap_validation import measure_swapper, psnr

GENERATOR, DISCRIMINATOR = "generator.safetensors", "discriminator.safetensors"
_MEASURED = 64  # pairs of a validation


@takes_numpy_scalars
def train_swapper(
    recipe: SwapperRecipe | None,
    out: Path | str,
    *,
    embedder: Path | str | None = None,
    start_from: Path | str | None = None,
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
        embedder: file of the frozen identity embedder, or the name of one that comes with weights, such as `sface`; a
            resumed run has its own copy.
        start_from: model whose weights a new run takes over, as far as they fit: a run's folder, with generator and
            discriminator, or a .safetensors file of one of them.
        resume: continue the run in the folder, bit for bit.
        duration: seconds after which this call stops, saved and resumable; see `Deadline`. None trains to the end.
        accelerator: `auto`, `cpu`, `cuda`.
        devices: devices on this machine.
        precision: `auto`, `32-true`, `bf16-mixed`.
        progress: show how far training and preparations are: bars, or lines now and then where there is no terminal.
        timeout: seconds for which a process waits for the others, where there are several.

    Raises:
        ConfigError: the folder holds a run already or another process trains in it, the recipe does not fit the run,
            the device or the data.
        InputError: data or embedder cannot be read, or there is nothing to resume.
        CheckpointError: no checkpoint of the run, or not the embedder, can be read.
        WorkError: the training diverged, the disk is full, or a process is gone.
    """
    deadline = Deadline(duration)
    check_start(start_from, resume=resume)
    starts = _starts(start_from)
    out = as_path(out, "the folder of a run")
    with progress_shown(progress), without_traces(out):
        recipe = open_folder(recipe, out, "swapper", resume=resume)
        if embedder is None and not (resume and (out / EMBEDDER).is_file()):
            raise ConfigError(
                "training a swapper needs an embedder",
                hint="name the embedder.safetensors of `smoothswap train embedder`, or one that comes with weights: "
                "--embedder FILE or --embedder sface",
            )
        embedder_file = out / EMBEDDER if embedder is None else embedder_path(embedder)
        command = how_to_resume("swapper", out, accelerator, devices)
        fabric = make_fabric(accelerator, devices, precision, timeout)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        with (
            watched(fabric.global_rank, fabric.world_size, resume=command, folder=out),
            run_lock(out, wanted=fabric.global_rank == 0),
        ):
            work = SwapperWork(recipe, fabric, embedder_file, starts)
            if fabric.global_rank == 0:
                if not (resume and (out / EMBEDDER).is_file()):  # another one is refused, and must not take its place
                    _keep_copy(embedder_file, out / EMBEDDER)
                if not resume:
                    keep_start(work.starts, out)
                keep_recipe(recipe, out)
            return Loop(
                work,
                recipe,
                out,
                fabric,
                resume=resume,
                progress=progress,
                resume_command=command,
                deadline=deadline,
                messages=work.messages,
            ).run()


def _starts(start_from: Path | str | None) -> dict[str, Path]:
    """The files to start from, by kind; none without a model."""
    if start_from is None:
        return {}
    found = {kind: resolve_start(start_from, kind) for kind in ("generator", "discriminator")}
    starts = {kind: file for kind, file in found.items() if file is not None}
    if not starts:
        raise no_start(start_from, "generator", "discriminator")
    return starts


def _keep_copy(file: Path, copy: Path) -> None:
    """Put the embedder beside the generator, which is of no use without it."""
    if copy.exists() and file_sha256(copy) == file_sha256(file):
        return
    with write_aside(copy) as aside:
        shutil.copyfile(file, aside)


class SwapperWork:
    """Generator, discriminator, frozen embedders, losses, average and data of one training.

    Args:
        recipe: what to build.
        fabric: the engine.
        embedder_file: the embedder whose vectors the generator takes.
        starts: files whose weights generator and discriminator start from, by kind.

    Attributes:
        starts: those of the files for which the recipe has a network.
        messages: what of them fits, for the log.

    Raises:
        ConfigError, InputError, CheckpointError, UnknownNameError: parts that cannot be had or do not fit together.
    """

    weights_name = GENERATOR

    def __init__(
        self, recipe: SwapperRecipe, fabric: Fabric, embedder_file: Path, starts: Mapping[str, Path] | None = None
    ) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.batch_size = recipe.batch_size
        own = share(recipe.batch_size, fabric.world_size, recipe.accumulate, "images")
        if recipe.self_pairs >= own // recipe.accumulate:
            raise ConfigError(
                f"self_pairs cannot be {recipe.self_pairs}: a part of a batch has {own // recipe.accumulate} images",
                hint="keep at least one pair of different pictures in each part",
            )
        self.memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        files = [embedder_file, *map(Path, recipe.identity_embedders)]
        digests = [file_sha256(file) if file.is_file() else "" for file in files]
        self.embedder_file_sha256, *self.identity_embedders_file_sha256 = digests
        # The data come last, since rendering them may take half an hour: what can be refused is refused before.
        share_out(recipe, fabric.world_size)
        has = _declared(recipe)
        seed_step(recipe.seed, 0, 0)  # the same weights in every process: they depend on the seed alone
        self.gan = GanStep(recipe, fabric, files, has)
        self.generator, self.discriminator = self.gan.generator, self.gan.discriminator
        self.messages: list[str] = []
        self.starts = {kind: file for kind, file in (starts or {}).items() if getattr(self, kind) is not None}
        if starts and not self.starts:
            raise ConfigError(
                "the recipe has no discriminator, there is nothing to start from",
                "none of its losses needs one",
                hint="name the file of a generator, or a folder with generator.safetensors",
            )
        for kind, file in self.starts.items():
            self.messages += start_weights(getattr(self, kind), file, what=kind)
        parts = {"": recipe.data, **recipe.mix}
        self.datasets = {
            name: build_data(part, recipe.image_size, fabric, crop=self.gan.crop) for name, part in parts.items()
        }
        self.gan.losses.require(_known(self.datasets) | self.gan.judges)
        self.held_out = build_held_out(recipe, fabric, crop=self.gan.crop)
        self.ema = Ema(self.generator, recipe.ema_half_life, recipe.ema_rampup)
        self.generator_optimizer = gan_optimizer(
            self.generator, recipe.learning_rate, recipe.betas, fabric, recipe.optimizer
        )
        self.discriminator_optimizer: Optimizer | None = None
        if self.discriminator is not None:
            self.discriminator_optimizer = gan_optimizer(
                self.discriminator, recipe.discriminator_learning_rate, recipe.betas, fabric
            )
        self.data = SwapData(recipe, self.datasets, fabric.global_rank, fabric.world_size, fabric.device)
        self._images = 0
        self.health = Health(recipe.copy_alarm_after)
        self._pairs: Pairs | None = None

    def step(self, images: int) -> dict[str, Tensor]:
        """One step of generator and discriminator."""
        recipe = self.recipe
        number = images // self.batch_size
        self._images = images
        self.generator.train()
        set_learning_rate(self.generator_optimizer, learning_rate(recipe, recipe.learning_rate, images))
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.train()
            rate = learning_rate(recipe, recipe.discriminator_learning_rate, images)
            set_learning_rate(self.discriminator_optimizer, rate)
        inputs = self.data.next()
        size = len(inputs) // recipe.accumulate
        parts = [
            self.gan.backward(
                inputs.select(slice(first, first + size)), images=images, with_r1=number % recipe.r1_every == 0
            )
            for first in range(0, len(inputs), size)
        ]
        values = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        for optimizer in self._optimizers().values():
            average_gradients(self.fabric, optimizer)
            step(optimizer, recipe.clip_gradients)
        self.ema.update(self.generator, self.batch_size, images + self.batch_size)
        return values

    def _optimizers(self) -> dict[str, Optimizer]:
        own = {"generator_optimizer": self.generator_optimizer}
        other = self.discriminator_optimizer
        return own if other is None else {**own, "discriminator_optimizer": other}

    def networks(self) -> dict[str, nn.Module]:
        """Generator, its average and, where there is one, the discriminator."""
        own = {"generator": self.generator, "ema": self.ema.module}
        return own if self.discriminator is None else {**own, "discriminator": self.discriminator}

    def learning_rates(self, images: int) -> dict[str, float]:
        """The learning rates after so many images."""
        names = ["learning_rate"] + ["discriminator_learning_rate"] * (self.discriminator is not None)
        return {name: learning_rate(self.recipe, getattr(self.recipe, name), images) for name in names}

    def title(self, name: str) -> str:
        """The name itself: `loss_identity` and the like say which loss."""
        return name

    def described(self) -> str:
        """Persons and images of every data set."""
        parts = {"": self.recipe.data, **self.recipe.mix}
        return describe_data({part.name: self.datasets[name] for name, part in parts.items()}, self.held_out)

    def reflect(self, means: Mapping[str, float], images: int) -> list[str]:
        """Update the health panel."""
        return self.health.update({**means, "psnr_target": psnr(means["mse_target"])}, images)

    def panel(self) -> str:
        """The health panel."""
        return f"{self.health.line()} · {self.gan.losses.panel(self._images)}"

    def validate(self, images: int) -> tuple[dict[str, float], Tensor | None]:
        """How the averaged generator does on held-out pairs (see `measure_swapper`)."""
        if self.held_out is None:
            return {}, None
        if self._pairs is None:
            self._pairs = Pairs(self.held_out, _MEASURED, self.recipe.seed)
        generator, f = self.ema.module, self.gan.embedders[0]
        return measure_swapper(generator, f, self._pairs, self.fabric.device, self.memory_format)

    def enough(self) -> bool:
        """Never: no figure alone says when a swapper is at its best."""
        return False

    def best(self, folder: Path) -> BestWeights | None:
        """None; the last average is what counts."""
        return None

    def broken(self) -> list[str]:
        """The pictures that could not be read so far."""
        return broken_in(*self.datasets.values())

    def state(self) -> dict[str, Any]:
        """Weights, average, optimisers, position in the data, panel."""
        return {
            **{name: network.state_dict() for name, network in self.networks().items()},
            **{name: optimizer.state_dict() for name, optimizer in self._optimizers().items()},
            "data": self.data.state(),
            "health": self.health.state(),
            "embedder_file_sha256": self.embedder_file_sha256,
            "identity_embedders_file_sha256": self.identity_embedders_file_sha256,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state.

        A discriminator that the run has only from now on, by a loss that was added, begins anew.

        Raises:
            CheckpointError: weights that do not fit, or another embedder than the run's.
        """
        state = renamed(state, CHECKPOINT)
        embedder = state["embedder_file_sha256"]
        if embedder != self.embedder_file_sha256:
            raise CheckpointError(
                "the run was started with another embedder",
                f"file_sha256 {embedder[:12]}… then, {self.embedder_file_sha256[:12]}… now",
                hint="resume without naming an embedder: the run has its own copy",
            )
        # Checkpoints of earlier versions do not say who judged.
        judges = state.get("identity_embedders_file_sha256", self.identity_embedders_file_sha256)
        if judges != self.identity_embedders_file_sha256:
            raise CheckpointError(
                "the run was started with other identity_embedders",
                *(f"{file}: file_sha256 {file_sha256(Path(file))[:12]}…" for file in self.recipe.identity_embedders),
                f"file_sha256 then: {', '.join(digest[:12] + '…' for digest in judges) or 'none'}",
                hint="name the files that it was started with, or start a new run in another folder",
            )
        added = {"discriminator", "discriminator_optimizer"} - state.keys()
        for name, network in self.networks().items():
            if name not in added:
                weights.load_into(network, state[name], where=f"checkpoint: {name}")
        for name, optimizer in self._optimizers().items():
            if name not in added:
                restore_optimizer(optimizer, state[name])
        self.data.restore(state["data"])
        self.health.restore(state["health"])

    def save_weights(self, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the averaged generator and, where there is one, the discriminator."""
        notes = {**notes, "embedder_file_sha256": self.embedder_file_sha256}
        if self.discriminator is None:  # one of an earlier part of the run is no longer the run's
            (folder / DISCRIMINATOR).unlink(missing_ok=True)
        else:
            weights.save(self.discriminator, folder / DISCRIMINATOR, notes=notes)
        return weights.save(self.ema.module, folder / GENERATOR, notes=notes)


def _declared(recipe: SwapperRecipe) -> set[Need]:
    """What the data sets will know, as their classes say before they are built; all of it where one does not say.

    Raises:
        UnknownNameError, ConfigError: an option of a data set, also of the one to validate on, that cannot be.
    """
    missing = without_folder(recipe)
    if missing:
        raise ConfigError(
            "the recipe learns from photographs and does not say from where",
            *(f"{name}.folder is not set ({part.name})" for name, part in missing.items()),
            hint="name their folder: --data FOLDER",
        )
    options = check_part(recipe.generator, "generator", image_size=recipe.image_size)
    crop: FaceCrop = getattr(options, "face_crop", FFHQ)
    declared = [check_data(part, recipe.image_size, crop) for part in (recipe.data, *recipe.mix.values())]
    if recipe.validation is not None:
        check_data(recipe.validation, recipe.image_size, crop)
    known = [knows for knows in declared if knows is not None]
    if len(known) < len(declared):
        return {"truth", "masks"}
    with_truth = [knows for knows in known if "truth" in knows]
    if not with_truth:
        return set()
    return {"truth", "masks"} if all("masks" in knows for knows in with_truth) else {"truth"}


def _known(datasets: Mapping[str, FaceDataset]) -> set[Need]:
    """What the data sets know beside their pictures: the truth where one does, masks where all of those give them."""
    with_truth = [dataset for dataset in datasets.values() if knows_truth(dataset)]
    if not with_truth:
        return set()
    return {"truth", "masks"} if all({"face", "head"} <= set(dataset[0]) for dataset in with_truth) else {"truth"}
