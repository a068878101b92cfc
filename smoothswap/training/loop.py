"""The loop that both trainings share: steps, log, validation, checkpoints, interruption, resuming."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from smoothswap.core.errors import CheckpointError, NotFiniteError
from smoothswap.data.origin import origins
from smoothswap.training.broken import keep_broken, of_all_processes
from smoothswap.training.checkpoint import LAST, PREVIOUS, load_checkpoint, save_checkpoint
from smoothswap.training.device import seed_step
from smoothswap.training.health import check_finite, check_weights, diverged
from smoothswap.training.logging import Log, RunLog, SilentLog
from smoothswap.training.recipes import TrainingRecipe
from smoothswap.training.samples import save_sheet
from smoothswap.training.schedule import passes
from smoothswap.training.start_from import kept_start
from smoothswap.training.stopping import Deadline, Interruption

Ended = Literal["finished", "early", "time", "interrupted"]
_TIME_OVER = 1  # beside the numbers of the signals that interrupt a run, which are larger


@dataclass(frozen=True)
class BestWeights:
    """The weights of the validation with the best figure.

    Args:
        path: their file, for `smoothswap.load`.
        images: images seen by then.
        monitor: name of the figure.
        value: the figure.
    """

    path: Path
    images: int
    monitor: str
    value: float


@dataclass(frozen=True)
class TrainResult:
    """What a training gives back.

    Args:
        path: file of the trained weights (the average), for `smoothswap.load`.
        images: images seen.
        seconds: time spent on them, over all resumed parts.
        metrics: the last numbers of log and validation.
        ended: why it ended. `finished`: all its images; `early`: nothing better was found for long enough; `time`: the
            time of the call was over; `interrupted`: by a signal. After the last two it can be resumed.
        signal: number of the signal that interrupted it, else 0.
        unfinished: why it is not finished and how to resume it, in one sentence; empty where it is.
        best: the weights that did best in a validation; None where nothing was measured.
    """

    path: Path
    images: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    ended: Ended = "finished"
    signal: int = 0
    unfinished: str = ""
    best: BestWeights | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do; False where the run can be resumed."""
        return self.ended in ("finished", "early")

    @property
    def stopped_early(self) -> bool:
        """Whether it ended before its length, since nothing better was found for long enough."""
        return self.ended == "early"


class Work(Protocol):
    """One kind of training, as the loop sees it."""

    batch_size: int
    weights_name: str

    def step(self, images: int) -> Mapping[str, Tensor]:
        """One optimiser step after `images` images; scalars on the device, to be averaged for the log."""

    def networks(self) -> Mapping[str, nn.Module]:
        """What is trained, and the average of it, by name."""

    def learning_rates(self, images: int) -> dict[str, float]:
        """The learning rate of each optimiser after `images` images, by the name of the recipe's option."""

    def title(self, name: str) -> str:
        """What a number of `step` is called where it is not finite."""

    def described(self) -> str:
        """How many persons and images are trained on and held out, in one line."""

    def reflect(self, means: Mapping[str, float], images: int) -> list[str]:
        """Take in the means of a line of the log; returns alarms."""

    def panel(self) -> str:
        """The state of things, in one line."""

    def validate(self, images: int) -> tuple[dict[str, float], Tensor | None]:
        """Numbers on held-out data after `images` images, and a sheet of samples, uint8 [3, H, W]."""

    def enough(self) -> bool:
        """Whether the validations so far say that the training should end."""

    def best(self, folder: Path) -> BestWeights | None:
        """The best weights so far, where `save_weights` puts them; None where nothing was measured."""

    def broken(self) -> list[str]:
        """The pictures that this process could not read so far."""

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state."""

    def save_weights(self, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the trained weights; returns the main file."""


class Loop:
    """Runs a training to its end, or to where it is interrupted.

    Args:
        work: what is trained.
        recipe: length and intervals.
        folder: the run's folder.
        fabric: the engine.
        resume: continue from the newest good checkpoint.
        progress: show progress.
        resume_command: what to type after an interruption.
        deadline: the time of this call; None has no end.
        messages: what is to be said at the start.
    """

    def __init__(
        self,
        work: Work,
        recipe: TrainingRecipe,
        folder: Path,
        fabric: Fabric,
        *,
        resume: bool,
        progress: bool,
        resume_command: str,
        deadline: Deadline | None = None,
        messages: Sequence[str] = (),
    ) -> None:
        self.work, self.recipe, self.folder, self.fabric = work, recipe, folder, fabric
        self.resume_command = resume_command
        self.deadline = deadline or Deadline(None)
        self.images, self.seconds = 0, 0.0
        self.metrics: dict[str, float] = {}
        self._sums: dict[str, list[Tensor]] = {}
        self._enough = False
        self._validated: int | None = None
        self._stop = 0  # _TIME_OVER, or the number of a signal
        self._saved: tuple[int, Path] | None = None  # images and main file of the last save
        if resume:
            messages = [*messages, *self._restore()]
        self._started_from = kept_start(folder)
        self._data = (recipe.data, *getattr(recipe, "mix", {}).values())
        self._origins = origins(part.options for part in self._data)
        self._first = fabric.global_rank == 0
        self.log: Log = (
            RunLog(folder, start=self.images, total=recipe.images, progress=progress) if self._first else SilentLog()
        )
        for origin in self._origins:
            if origin["file_sha256"]:
                messages = [*messages, f"photographs of {origin['folder']}: see {', '.join(origin['files'])} there"]
        self.log.say(f"training on {work.described()}; {self._rates()}")
        if self.images:
            self.log.say(f"resumed after {self.images:,} of {recipe.images:,} images")
            self.log.note({"resumed_at": self.images})
        for message in messages:
            self.log.say(message, "yellow")

    def run(self) -> TrainResult:
        """Train.

        Raises:
            WorkError: the training diverged, or a file cannot be written.
        """
        listener = Interruption()
        began, before = time.monotonic(), self.seconds
        try:
            with listener:
                while not self._done() and not self._stopped(listener):
                    self._step()
                    self.seconds = before + time.monotonic() - began
            saved = self._finish()
        finally:
            self.log.close()
        ended, number = self._ended(), self._stop if self._ended() == "interrupted" else 0
        best, said = self.work.best(self.folder), self._unfinished()
        return TrainResult(saved, self.images, self.seconds, dict(self.metrics), ended, number, said, best)

    def _rates(self) -> str:
        """The learning rates as the recipe has them and, where warm-up or decay make others of them, as they are."""
        words = []
        for name, now in self.work.learning_rates(self.images).items():
            highest = getattr(self.recipe, name)
            words.append(f"{name} {highest:g}" + (f" (now {now:.3g})" if now != highest else ""))
        return ", ".join(words)

    def _done(self) -> bool:
        return self._enough or self.images >= self.recipe.images

    def _ended(self) -> Ended:
        if self._done():
            return "finished" if self.images >= self.recipe.images else "early"
        return "time" if self._stop == _TIME_OVER else "interrupted"

    def _unfinished(self) -> str:
        if self._done():
            return ""
        why = "its time was over" if self._stop == _TIME_OVER else "interrupted"
        seen = f"{self.images:,} of {self.recipe.images:,} images"
        return f"unfinished: {why} after {seen}; continue with `{self.resume_command}`"

    def _calmer(self) -> str:
        """How to go on after the training diverged, in words that a resumed run takes."""
        saved = (self.folder / LAST).exists() or (self.folder / PREVIOUS).exists()
        if not saved and self._started_from:
            return "there is no checkpoint yet: start again in another folder, with a lower learning_rate"
        names = [name for name in ("learning_rate", "discriminator_learning_rate") if hasattr(self.recipe, name)]
        changes = [f"--set {name}={getattr(self.recipe, name) / 10:g}" for name in names]
        changes += ["--set clip_gradients=1"] * (self.recipe.clip_gradients is None)
        kept = "go on from the last checkpoint" if saved else "there is no checkpoint yet: start again"
        return f"{kept} with a lower learning rate: `{self.resume_command} {' '.join(changes)}`"

    def _step(self) -> None:
        before, recipe = self.images, self.recipe
        seed_step(recipe.seed, self.fabric.global_rank, before)
        try:
            values = self.work.step(before)
        except NotFiniteError as cause:
            if not (self.metrics or self._sums):
                raise  # at the very first step nothing was learnt yet: the data or a component are at fault
            raise diverged(before, [cause.what, *cause.facts], self._calmer()) from cause
        self.images = before + self.work.batch_size
        for name, value in values.items():
            self._sums.setdefault(name, []).append(value)
        self.log.advance(self.images)
        if passes(before, self.images, recipe.log_every):
            self._write_log()
        if self.images >= recipe.images:
            return  # the end validates and saves on its own
        if passes(before, self.images, recipe.validate_every):
            self._validate()
        if passes(before, self.images, recipe.checkpoint_every) and not self._enough:
            self._save()

    def _write_log(self) -> None:
        if not self._sums:
            return
        names = list(self._sums)
        # One transfer from the device for all numbers of the line.
        means = torch.stack([torch.stack(self._sums[name]).float().mean() for name in names])
        self._sums.clear()
        if self.fabric.world_size > 1:
            self.fabric.all_reduce(means, reduce_op="mean")
        line = dict(zip(names, means.tolist(), strict=True))
        check_finite({self.work.title(name): value for name, value in line.items()}, self.images, self._calmer())
        for alarm in self.work.reflect(line, self.images):
            self.log.say(f"ALARM: {alarm}", "bold red")
        self.metrics.update(line)
        rates = self.work.learning_rates(max(0, self.images - self.work.batch_size))  # those of the last step
        self.log.write(self.images, {**line, **rates, "seconds": self.seconds})
        self.log.panel(self.work.panel())

    def _validate(self) -> None:
        """Measure in the first process; the others wait, and hear whether to go on."""
        if self._first:
            values, sheet = self.work.validate(self.images)
            self.metrics.update(values)
            if values:
                self.log.write(self.images, values)
                shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
                self.log.say(f"{self.images:,} images · validation: {shown}")
            if sheet is not None:
                save_sheet(sheet, self.folder / "samples" / f"{self.images:09}.png")
                self.log.picture(self.images, sheet)
            self.log.panel(self.work.panel())
        self._validated = self.images
        self._enough = bool(self.fabric.broadcast(self.work.enough()))

    def _save(self) -> Path:
        with self.deadline.saving():
            path = self._write()
        self._saved = self.images, path
        return path

    def _write(self) -> Path:
        self._write_log()
        # Only a finite state is written, so the last checkpoint is a good one.
        check_weights(self.work.networks(), self.images, self._calmer())
        path = self.folder / self.work.weights_name
        broken = of_all_processes(self.fabric, self.work.broken())
        if self._first:
            if told := keep_broken(self.folder, broken):
                self.log.say(told, "yellow")
            counts = {"images": self.images, "validated": self._validated, "seconds": self.seconds}
            state = {**counts, "metrics": self.metrics}
            save_checkpoint({**state, "work": self.work.state()}, self.folder)
            notes = {"recipe": self.recipe.name, "images": self.images, "seconds": round(self.seconds)}
            notes["data"] = [part.name for part in self._data]
            if self._started_from:
                notes |= {"started_from": self._started_from}
            if self._origins:
                notes |= {"photographs": self._origins}
            path = self.work.save_weights(self.folder, notes)
        self.fabric.barrier()
        return path

    def _finish(self) -> Path:
        if self._done():
            self._write_log()
            if self._validated != self.images:  # a run that is taken up at its end was measured there
                self._validate()
            if self._enough and self.images < self.recipe.images:
                self.log.say(f"stopped early after {self.images:,} of {self.recipe.images:,} images")
        else:
            self.log.say(self._unfinished())
            if self._saved is not None and self._saved[0] == self.images:
                return self._saved[1]  # the last step ended with a save
        return self._save()

    def _restore(self) -> list[str]:
        try:
            state, faults = load_checkpoint(self.folder)
        except FileNotFoundError as cause:
            if start := kept_start(self.folder):
                raise CheckpointError(
                    f"the run in {str(self.folder)!r} was interrupted before its first checkpoint",
                    f"it started from the weights in {', '.join(each['file'] for each in start.values())}",
                    hint="start it again in another folder, with --start-from",
                ) from cause
            return ["the run was interrupted before its first checkpoint, it starts again"]
        try:
            self.work.restore(state["work"])
            self.images, self.seconds = int(state["images"]), float(state["seconds"])
            self.metrics = dict(state["metrics"])
            self._validated = state.get("validated")
            self._enough = self.work.enough()
        except CheckpointError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as cause:
            raise CheckpointError(
                f"the checkpoint in {str(self.folder)!r} does not fit the run's recipe", *str(cause).splitlines()
            ) from cause
        return [f"{fault}; going on from the checkpoint before it, {self.images:,} images" for fault in faults]

    def _stopped(self, listener: Interruption) -> bool:
        alone = self.fabric.world_size == 1
        # All processes must leave the loop at the same step; asking at each would cost more than waiting a little.
        if not alone and (self.images // self.work.batch_size) % 16:
            return False
        stop = listener.signal or (_TIME_OVER if self.deadline.over(rarely=not alone) else 0)
        if not alone:
            flag = torch.tensor(float(stop), device=self.fabric.device, dtype=torch.float32)
            self.fabric.all_reduce(flag, reduce_op="max")
            stop = int(flag)
        self._stop = stop
        return stop > 0
