"""Training of an identity embedder: P people × K images a batch, augmented, one loss on the vectors."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from smoothswap.core.errors import ConfigError, InputError
from smoothswap.core.files import as_path
from smoothswap.core.progress import progress_shown
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.augment import Augment
from smoothswap.data.sampler import PKSampler
from smoothswap.modules import weights
from smoothswap.modules.face_input import to_face_input
from smoothswap.modules.outputs import check_vectors
from smoothswap.ops.collectives import gather
from smoothswap.training.attributes import attributes_of, needs_of_loss, no_attributes
from smoothswap.training.batches import Batches
from smoothswap.training.best import Best, monitored
from smoothswap.training.broken import broken_in
from smoothswap.training.device import make_fabric, seed_step
from smoothswap.training.ema import Ema
from smoothswap.training.folder import keep_recipe, open_folder, without_traces
from smoothswap.training.held_out import build_held_out, describe_data
from smoothswap.training.loop import BestWeights, Loop, TrainResult
from smoothswap.training.optimizers import (
    average_buffers,
    average_gradients,
    embedder_optimizer,
    restore_optimizer,
    set_learning_rate,
    step,
)
from smoothswap.training.parts import build_data, build_part, check_data, check_part, share
from smoothswap.training.processes import TIMEOUT, how_to_resume, watched
from smoothswap.training.recipes import EmbedderRecipe
from smoothswap.training.run_lock import run_lock
from smoothswap.training.schedule import learning_rate
from smoothswap.training.start_from import check_start, keep_start, no_start, resolve_start, start_weights
from smoothswap.training.stopping import Deadline
from smoothswap.training.validation import Validation

EMBEDDER, BEST = "embedder.safetensors", "embedder-best.safetensors"
_PANEL = ("auc", "auc_shape", "d_smooth")  # figures of the last validation under the bar


@takes_numpy_scalars
def train_embedder(
    recipe: EmbedderRecipe | None,
    out: Path | str,
    *,
    resume: bool = False,
    start_from: Path | str | None = None,
    duration: float | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    precision: str = "auto",
    progress: bool = True,
    timeout: float = TIMEOUT,
) -> TrainResult:
    """Train an identity embedder and write it, with log, samples and checkpoints, into a folder.

    Args:
        recipe: what to train and how; None when resuming takes the recipe of the run.
        out: the run's folder; `embedder.safetensors` in it is the averaged embedder, for `smoothswap.load`, and
            `embedder-best.safetensors` the one of the best validation.
        resume: continue the run in the folder, bit for bit.
        start_from: model whose weights a new run takes over, as far as they fit: a run's folder or a .safetensors file.
        duration: seconds after which this call stops, saved and resumable; see `Deadline`. None trains to the end.
        accelerator: `auto`, `cpu`, `cuda`.
        devices: devices on this machine.
        precision: `auto`, `32-true`, `bf16-mixed`.
        progress: show how far training and preparations are: bars, or lines now and then where there is no terminal.
        timeout: seconds for which a process waits for the others, where there are several.

    Raises:
        ConfigError: the folder holds a run already or another process trains in it, the recipe does not fit the run,
            the device or the data, or nothing of the model to start from fits.
        InputError: the data cannot be read, or there is nothing to resume.
        CheckpointError: no checkpoint of the run can be read.
        WorkError: the training diverged, the disk is full, or a process is gone.
    """
    deadline = Deadline(duration)
    check_start(start_from, resume=resume)
    start = None if start_from is None else resolve_start(start_from, "embedder")
    if start_from is not None and start is None:
        raise no_start(start_from, "embedder")
    out = as_path(out, "the folder of a run")
    with progress_shown(progress), without_traces(out):
        recipe = open_folder(recipe, out, "embedder", resume=resume)
        command = how_to_resume("embedder", out, accelerator, devices)
        fabric = make_fabric(accelerator, devices, precision, timeout)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        with (
            watched(fabric.global_rank, fabric.world_size, resume=command, folder=out),
            run_lock(out, wanted=fabric.global_rank == 0),
        ):
            work = EmbedderWork(recipe, fabric, start)
            if fabric.global_rank == 0:
                if not resume:
                    keep_start({} if start is None else {"embedder": start}, out)
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


class EmbedderWork:
    """Embedder, loss, optimiser, average and data of one training.

    Args:
        recipe: what to build.
        fabric: the engine.
        start: model file whose weights the embedder takes over.

    Attributes:
        messages: what of that file fits, for the log.

    Raises:
        ConfigError, InputError, UnknownNameError: parts that cannot be built or do not fit together.
    """

    weights_name = EMBEDDER

    def __init__(self, recipe: EmbedderRecipe, fabric: Fabric, start: Path | None = None) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.batch_size = recipe.batch_size
        if recipe.accumulate > 1:
            share(recipe.people_per_batch, fabric.world_size, recipe.accumulate, "people")  # parts of whole people
        needs = self._check_options()
        # The same weights in every process: what is built depends on the seed alone.
        seed_step(recipe.seed, 0, 0)
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        size = {"image_size": recipe.image_size, "input_size": recipe.image_size}
        self.embedder: nn.Module = build_part(recipe.embedder, "embedder", **size)
        self.messages = [] if start is None else start_weights(self.embedder, start, what="embedder")
        self.embedder.to(fabric.device, memory_format=memory)
        dim: Any = self.embedder.dim
        check_part(recipe.loss, "loss", people=sys.maxsize, dim=dim, attributes=1)
        with torch.random.fork_rng(devices=[]):  # whatever it draws, the loss begins with the same weights
            data = build_data(recipe.data, recipe.image_size, fabric)
        if data.people < 2:
            raise InputError(
                f"the data set {recipe.data.name!r} holds {data.people} person(s)",
                hint="an embedder learns to tell people apart: it needs at least two, better hundreds",
            )
        if recipe.people_per_batch > data.people:
            raise ConfigError(
                f"people_per_batch cannot be {recipe.people_per_batch}: the data set holds {data.people} people",
                hint=f"choose {data.people} or fewer: --set people_per_batch={data.people}",
            )
        known = {"people": data.people, "dim": dim}
        self._attributes: Tensor | None = None
        if "attributes" in needs:
            self._attributes = attributes_of(data, recipe).to(fabric.device)
            known["attributes"] = self._attributes.shape[1]
        self.loss: nn.Module = build_part(recipe.loss, "loss", **known).to(fabric.device)
        self.optimizer = embedder_optimizer(recipe, (self.embedder, self.loss), fabric)
        self.ema = Ema(self.embedder, recipe.ema_half_life, recipe.ema_rampup)
        sampler = PKSampler(
            data.labels,
            recipe.people_per_batch,
            recipe.images_per_person,
            recipe.seed,
            groups=getattr(data, "groups", None),
            people_per_group=recipe.people_per_group,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        )
        self.batches = Batches(data, sampler, fabric.device, workers=recipe.workers, memory_format=memory)
        self.augment = Augment(recipe.augment)
        self.data = data
        self.validation = self._held_out_people()
        self._best = Best(recipe.monitor, recipe.patience)
        self._shown: dict[str, float] = {}

    def _check_options(self) -> set[str]:
        """Refuse before any data are rendered or listed what can be refused by then; gives the needs of the loss."""
        recipe = self.recipe
        needs = needs_of_loss(recipe.loss)
        knows = check_data(recipe.data, recipe.image_size)
        if knows is not None and not needs <= knows:
            raise no_attributes(recipe)
        if recipe.validation is not None:
            check_data(recipe.validation, recipe.image_size)
        return needs

    def step(self, images: int) -> dict[str, Tensor]:
        """One optimiser step. A contrastive loss sees each accumulated part by itself, but all processes together."""
        recipe, fabric = self.recipe, self.fabric
        self.embedder.train()
        set_learning_rate(self.optimizer, learning_rate(recipe, recipe.learning_rate, images))
        batch = self.batches.next()
        faces = self.augment(batch.images, torch.default_generator)  # seeded anew at each step by the loop
        # As many parts in every process, whatever the size of its share.
        parts = zip(faces.tensor_split(recipe.accumulate), batch.labels.tensor_split(recipe.accumulate), strict=True)
        total = torch.zeros((), device=fabric.device, dtype=torch.float32)
        for faces, labels in parts:
            with fabric.autocast():
                z = self.embedder(to_face_input(faces, self.embedder.expects))  # type: ignore[arg-type]
            check_vectors(z, faces, self.embedder)
            loss = self._loss_of_part(z.float(), labels)
            fabric.backward(loss)
            total += loss.detach()
        average_gradients(fabric, self.optimizer)
        step(self.optimizer, recipe.clip_gradients)
        average_buffers(fabric, self.embedder)
        self.ema.update(self.embedder, self.batch_size, images + self.batch_size)
        return {"loss": total}

    def _loss_of_part(self, z: Tensor, labels: Tensor) -> Tensor:
        """What a part adds to the loss, so that the mean over the processes is the loss of the joint batch."""
        across = getattr(self.loss, "across", "gathered")
        if across == "separate":
            # A mean over the images of this part: its weight is their share of the whole batch.
            mean: Tensor = self.loss(z, labels, *self._known_of(labels))
            return mean * (len(z) * self.fabric.world_size / self.batch_size)
        if across == "gathered":
            z, labels = gather(z, labels)
        joint: Tensor = self.loss(z, labels, *self._known_of(labels))
        return joint / self.recipe.accumulate

    def _known_of(self, labels: Tensor) -> tuple[Tensor, ...]:
        """What the loss gets beside vectors and labels: the people's attributes, where it reads them."""
        return () if self._attributes is None else (self._attributes[labels],)

    def _held_out_people(self) -> Validation | None:
        """Built at the start and in every process, so that data that cannot be used end all of them at once."""
        recipe = self.recipe
        held_out = build_held_out(recipe, self.fabric)
        if held_out is None:
            return None
        return Validation(held_out, self.data, recipe.validation_images, recipe.monitor)

    def networks(self) -> dict[str, nn.Module]:
        """The embedder, its average, and the loss with its centres or readouts."""
        return {"embedder": self.embedder, "averaged embedder": self.ema.module, "loss": self.loss}

    def learning_rates(self, images: int) -> dict[str, float]:
        """The learning rate after so many images."""
        return {"learning_rate": learning_rate(self.recipe, self.recipe.learning_rate, images)}

    def title(self, name: str) -> str:
        """The loss with the name of its component."""
        return f"loss ({self.recipe.loss.name})" if name == "loss" else name

    def described(self) -> str:
        """Persons and images of both data sets."""
        held_out = None if self.validation is None else self.validation.held_out
        return describe_data({self.recipe.data.name: self.data}, held_out)

    def reflect(self, means: Mapping[str, float], images: int) -> list[str]:
        """An embedder raises no alarms; the loss and the AUC tell."""
        self._shown["loss"] = means["loss"]
        return []

    def panel(self) -> str:
        """Loss, the last validation in short, and the best one."""
        parts = [f"{name} {value:.3f}" for name, value in self._shown.items()]
        if self._best.value is not None:
            parts.append(f"best {self._best.monitor} {self._best.value:.3f} at {self._best.images:,}")
        return ", ".join(parts)

    def validate(self, images: int) -> tuple[dict[str, float], Tensor | None]:
        """The averaged embedder on held-out people (see `Validation.measure`); keeps it where it is the best so far."""
        if self.validation is None:
            return {}, None
        values = self.validation.measure(self.ema.module, self.fabric.device, images)
        self._best.offer(values, images, self.ema.module)
        shown = (*_PANEL, self._best.monitor)
        self._shown.update({name: value for name in shown if (value := monitored(values, name)) is not None})
        return values, None

    def enough(self) -> bool:
        """Whether patience has run out."""
        return self._best.enough

    def best(self, folder: Path) -> BestWeights | None:
        """The best validation so far."""
        best = self._best
        return None if best.value is None else BestWeights(folder / BEST, best.images, best.monitor, best.value)

    def broken(self) -> list[str]:
        """The pictures that could not be read so far, held-out ones included."""
        return broken_in(self.data, *([] if self.validation is None else [self.validation.held_out]))

    def state(self) -> dict[str, Any]:
        """Weights, average, optimiser, position in the data, best validation."""
        return {
            "embedder": self.embedder.state_dict(),
            "ema": self.ema.module.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state(),
            "best": self._best.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state.

        Raises:
            CheckpointError: weights that do not fit; the message names them.
        """
        weights.load_into(self.embedder, state["embedder"], where="checkpoint: embedder")
        weights.load_into(self.ema.module, state["ema"], where="checkpoint: averaged embedder")
        weights.load_into(self.loss, state["loss"], where="checkpoint: loss")
        restore_optimizer(self.optimizer, state["optimizer"])
        self.batches.restore(state["batches"])
        if "best" in state:
            self._best.restore(state["best"], self.ema.module)

    def save_weights(self, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the averaged embedder, and the one of the best validation."""
        best = self._best
        if best.module is not None:
            figures = {"images": best.images, "monitor": best.monitor, "value": best.value}
            weights.save(best.module, folder / BEST, notes={**notes, **figures})
        return weights.save(self.ema.module, folder / EMBEDDER, notes=notes)
