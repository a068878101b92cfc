"""`make gpu-train`: trains the guided 128 px recipe on a CUDA machine for a few minutes, and leaves small files.

    python tests/benchmarks/gpu_train.py [--out gpu-train] [--run runs/gpu-train] [--for 9m] [--calls 1]
        [--embedder FILE] [--photographs TAR] [--slowest 20] [--set KEY=VALUE …] [--device cpu --tiny]

It stands beside gpu.py, since both are what a borrowed GPU is used for, and both are tried by test_drivers.py.

A first part of a minute measures the speed. It sets the length of the training to what `--calls` calls of this length
will see, with the losses' schedule in proportion, so that the learning rate ends where it should. Called again, it goes
on with the run in `--run`, where the checkpoints stay. `--out` is flat and gets at most eight files of at most 16 MiB:
generator (average, float16) and embedder, together a folder for `smoothswap swap --model`; recipe, log, sample sheets.

Exit code 1, with the reason in the last line: too slow, a NaN loss, or a generator too large for its file. What was
trained until then is left there all the same.

With `--photographs TAR`, which pack_photographs.py made, it trains `photos_128` on what is in it.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # rays in flight differ from batch to batch

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pack_photographs import packed_embedder, unpack

import smoothswap
from smoothswap.core.assets import shipped
from smoothswap.core.errors import InputError, SmoothSwapError, WorkError
from smoothswap.modules import weights
from smoothswap.modules.frozen.convert_efficientnet_lite import PACKAGE
from smoothswap.training import SwapperRecipe, TrainResult, load_recipe, recipe, train_swapper
from smoothswap.training.overrides import overrides_for_folder
from smoothswap.training.parts import build_part
from smoothswap.training.stopping import parse_duration

RECIPE, OF_PHOTOGRAPHS = "faceworld_128_guided", "photos_128"
UNFROZEN = {
    "discriminator.name": "stylegan2",
    "discriminator.channel_base": "2048",
    "discriminator.channel_max": "256",
    "losses.adversarial.weight": "1.5",
}
"""A discriminator of photographs without a frozen network."""
LARGEST = 16 * 2**20  # bytes of a file in `--out`
SHEETS = 2  # the last ones
TRIAL, EXPORT = 60.0, 15.0  # seconds of the first part, and kept for writing the files
TINY = {
    "image_size": "16",
    "batch_size": "4",
    "generator.base_channels": "8",
    "generator.channel_multipliers": "1,1",
    "generator.attention_resolutions": "",
    "discriminator.channel_base": "128",
    "discriminator.channel_max": "8",
    "warmup_images": "8",
    "ema_half_life": "32",
    "log_every": "8",
    "validate_every": "16",
    "checkpoint_every": "32",
}
"""Options that only try the code."""
TINY_WORLD = {
    "data.groups": "2",
    "data.people_per_group": "4",
    "data.pictures_per_person": "2",
    "validation.groups": "2",
}
TINY_PHOTOGRAPHS = {
    "discriminator.name": "stylegan2",
    "generator.patch": "2",
    "losses.grid.patch": "2",
    "mix.photos.share": "0.5",
    "data.held_out": "0.5",
    "mix.photos.held_out": "0.5",
}
OF_GPU = {
    "batch_size": "64",
    "images": "480000",
    "workers": "12",
    "discriminator_learning_rate": "2e-3",
    "warmup_images": "6400",
    "ema_half_life": "20000",
    "log_every": "640",
    "validate_every": "64000",
    "checkpoint_every": "64000",
    "copy_alarm_after": "160000",
}
"""What a GPU changes about a recipe made for a processor; choices that no run has tried yet."""


class Tee(io.TextIOBase):
    """Standard error that is kept in a file as well; no terminal, so that the log has lines instead of a bar."""

    def __init__(self, terminal: TextIO, file: Path) -> None:
        self._parts = terminal, file.open("a", encoding="utf-8")

    def write(self, text: str) -> int:
        """To both, at once."""
        for part in self._parts:
            part.write(text)
            part.flush()
        return len(text)

    def close_file(self) -> None:
        """Ends the file; the terminal stays open."""
        self._parts[1].close()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path("gpu-train"), help="small files, at most eight")
    made.add_argument("--run", type=Path, default=Path("runs/gpu-train"), help="the training, with its checkpoints")
    made.add_argument("--for", dest="length", default="9m", help="time of this call, all in all")
    made.add_argument("--calls", type=int, default=1, help="calls of that length that the training is to take")
    made.add_argument("--embedder", type=Path, help="frozen embedder; the shipped one of FaceWorld")
    made.add_argument("--photographs", type=Path, metavar="TAR", help="photographs and embedder to train on")
    made.add_argument("--slowest", type=float, default=20, help="images a second below which the call ends early")
    made.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    made.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    made.add_argument("--tiny", action="store_true", help="sizes that only try the code, in seconds")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, leaves the files; 0 where all went well."""
    began = time.monotonic()
    asked = parser().parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"make gpu-train needs a CUDA device, and PyTorch {torch.__version__} sees none here", file=sys.stderr)
        return 2
    asked.run.mkdir(parents=True, exist_ok=True)
    usual, log = sys.stderr, Tee(sys.stderr, asked.run / "log.txt")
    sys.stderr = log  # type: ignore[assignment]
    try:
        say(f"smoothswap {smoothswap.__version__}, PyTorch {torch.__version__}, {device_name(asked.device)}")
        try:
            end = train(asked, began + parse_duration(asked.length))
        except Exception as reason:  # whatever it was, what there is must be left before the machine goes
            if not isinstance(reason, SmoothSwapError):
                traceback.print_exc()
            end = f"error: {reason}"
        for file in leave(asked.run, asked.out):
            say(f"{file.stat().st_size / 2**20:6.2f} MiB  {file}")
        say(end)
    finally:
        sys.stderr = usual
        log.close_file()
    if asked.out.is_dir():
        shutil.copyfile(asked.run / "log.txt", asked.out / "log.txt")
    return int(end.startswith("error"))


def say(text: str) -> None:
    """One line on standard error, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def device_name(device: str) -> str:
    """What it trains on."""
    return torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def train(asked: argparse.Namespace, end: float) -> str:
    """Trains until `end` on the monotonic clock; how it ended.

    Raises:
        WorkError: too slow, too large, or diverged; others as `train_swapper`.
    """
    run, trial = asked.run, 4.0 if asked.tiny else TRIAL
    resume = (run / "recipe.json").is_file()
    named, usual_embedder = chosen(asked)
    check_size(named)
    own = load_recipe(run / "recipe.json") if resume else named
    assert isinstance(own, SwapperRecipe)
    if own.name != named.name:
        raise InputError(
            f"the run in {str(run)!r} is of the recipe {own.name!r}, not {named.name!r}",
            hint="name another folder: RUN_FOLDER=… of make, --run here",
        )
    embedder = None if resume else asked.embedder or usual_embedder

    def part(wanted: SwapperRecipe, seconds: float, *, again: bool) -> TrainResult:
        return train_swapper(
            wanted, run, embedder=embedder, resume=again, duration=seconds, accelerator=asked.device, timeout=600
        )

    first = part(own, trial, again=resume)
    speed = rate(run / "train.jsonl", first, trial / 2)
    say(f"{speed:.1f} images/s over the first {trial:.0f} s")
    if speed < asked.slowest and not first.finished:
        raise WorkError(f"{speed:.1f} images/s: less than {asked.slowest:g}, not worth the GPU's time")
    left = end - time.monotonic() - (2.0 if asked.tiny else EXPORT)
    if not first.finished and left > 0:
        if own.images == named.images and "images" not in _pairs(asked.overrides):
            # Part of the time goes to starting, validations and saves.
            own = fitted(own, first.images + 0.92 * speed * (left + (asked.calls - 1) * (left + trial)))
            say(f"the training takes {own.images:,} images, for {asked.calls} calls of {asked.length}")
        first = part(own, left, again=True)
    shown = {name: round(value, 3) for name, value in first.metrics.items() if name.startswith("held_out")}
    more = f"; call again to go on ({first.images:,} of {own.images:,} images)" if not first.finished else ""
    return f"{first.ended} after {first.images:,} images in {first.seconds:.0f} s: {json.dumps(shown)}{more}"


def chosen(asked: argparse.Namespace) -> tuple[SwapperRecipe, Path]:
    """The recipe that is asked for, and the embedder that it usually has.

    Raises:
        InputError: a tar that cannot be unpacked.
    """
    overrides = _pairs(asked.overrides)
    if asked.photographs is None:
        name, embedder = RECIPE, shipped("faceworld_64/embedder.safetensors")
        usual = {**TINY, **TINY_WORLD} if asked.tiny else {}
    else:
        folder, embedder = unpack(asked.photographs, asked.run)
        name = OF_PHOTOGRAPHS
        usual = OF_GPU | without_frozen_network() | (TINY | TINY_PHOTOGRAPHS if asked.tiny else {})
        usual |= overrides_for_folder(folder, "swapper", recipe("swapper", name))
    made = recipe("swapper", name, usual | overrides)
    assert isinstance(made, SwapperRecipe)
    return made, embedder


def without_frozen_network() -> dict[str, str]:
    """Does without the frozen network, and says so, where the package that brings it is not installed."""
    if importlib.util.find_spec(PACKAGE) is not None:
        return {}
    say(f"{PACKAGE} is not installed: the loss `features` is left out, and the discriminator starts from nothing")
    return {"losses.features": "none", **UNFROZEN}


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in texts)


def check_size(made: SwapperRecipe) -> None:
    """Refuses a generator whose float16 weights do not fit into one file, before the GPU has worked for it."""
    generator = build_part(made.generator, "generator", image_size=made.image_size)
    count = sum(value.numel() for value in generator.state_dict().values())
    if 2 * count > LARGEST - 2**16:
        raise WorkError(f"the generator has {count:,} numbers: its file would be larger than {LARGEST / 2**20:.0f} MiB")


def rate(log: Path, result: TrainResult, window: float) -> float:
    """Images a second over the last `window` seconds of a run, or since the line of the log before that."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    seen = [(row["images"], row["seconds"]) for row in rows if "seconds" in row and row["images"] < result.images]
    within = [row for row in seen if row[1] >= result.seconds - window]
    images, seconds = within[0] if within else seen[-1] if seen else (0, 0.0)
    return float(result.images - images) / max(1e-9, result.seconds - seconds)


def fitted(made: SwapperRecipe, images: float) -> SwapperRecipe:
    """The recipe with another length, and its losses' schedule in proportion."""
    total = max(made.batch_size, round(images / made.batch_size) * made.batch_size)
    scale = total / made.images
    losses = {
        name: replace(
            term,
            changes_at=max(1, round(term.changes_at * scale)) if term.changes_at else 0,
            changes_over=round(term.changes_over * scale),
        )
        for name, term in made.losses.items()
    }
    return replace(made, images=total, losses=losses)


def leave(run: Path, out: Path) -> list[Path]:
    """Puts what is worth carrying away into `out`, in place of what an earlier call left; the files."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("samples-*.png"):
        old.unlink()
    files = []
    embedder = packed_embedder(run)  # comes with weights wherever smoothswap is, and would be too large
    for name in ("recipe.json", "train.jsonl", *([] if embedder else ["embedder.safetensors"])):
        if (run / name).is_file():
            files.append(Path(shutil.copyfile(run / name, out / name)))
    for sheet in sorted((run / "samples").glob("*.png"))[-SHEETS:]:
        files.append(Path(shutil.copyfile(sheet, out / f"samples-{sheet.name}")))
    trained = run / "generator.safetensors"
    if trained.is_file():
        notes = weights.read_header(trained).get("notes", {}) | ({"embedder": embedder} if embedder else {})
        files.append(weights.save(smoothswap.load(trained), out / trained.name, notes=notes, dtype=torch.float16))
    for file in files:
        if file.stat().st_size > LARGEST:
            say(f"{file} has more than {LARGEST / 2**20:.0f} MiB")
    return files


if __name__ == "__main__":
    sys.exit(main())
