"""Images a second of the swapper's recipes, side by side in one run: whole steps, taken in turns.

    python tests/benchmarks/swapper_steps.py faceworld_64 faceworld_64_guided --threads 1
    python tests/benchmarks/swapper_steps.py faceworld_64_guided --set generator.base_channels=32

A step is that of `smoothswap.training`: generator, discriminator with lazy R1 where the recipe has one, embedder,
losses, optimisers, average. Pictures are noise, so reading data is left out. Rates are divided by that of the first
recipe. `--at` says how many images were seen, which decides the losses that count.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from torch import Tensor

from smoothswap.core.allocator import keep_freed_memory
from smoothswap.core.assets import shipped
from smoothswap.training import SwapperRecipe, recipe
from smoothswap.training.device import make_fabric
from smoothswap.training.ema import Ema
from smoothswap.training.gan_step import GanStep
from smoothswap.training.optimizers import gan_optimizer, step
from smoothswap.training.swap_inputs import SwapInputs


class Steps:
    """Training steps of one recipe on noise.

    Args:
        made: the recipe, for 64 px.
        images: images seen before each step.
        precision: `32-true` or `bf16-mixed`.
    """

    def __init__(self, made: SwapperRecipe, images: int, precision: str) -> None:
        torch.manual_seed(0)
        self.recipe, self.images, self.number = made, images, 0
        fabric = make_fabric("cpu", 1, precision)
        self.gan = GanStep(made, fabric, [shipped("faceworld_64/embedder.safetensors")], {"truth", "masks"})
        self.ema = Ema(self.gan.generator, made.ema_half_life, made.ema_rampup)
        self.optimizers = [gan_optimizer(self.gan.generator, 1e-5, made.betas, fabric, made.optimizer)]
        if self.gan.discriminator is not None:
            self.optimizers.append(gan_optimizer(self.gan.discriminator, 1e-5, made.betas, fabric))
        B, S = made.batch_size, made.image_size
        memory = torch.channels_last if made.channels_last else torch.contiguous_format

        def noise() -> Tensor:
            return (torch.rand(B, 3, S, S) * 2 - 1).contiguous(memory_format=memory)

        masks = torch.rand(B, 2, S, S)
        known = torch.ones(B, dtype=torch.bool)
        self.inputs = SwapInputs(noise(), noise(), known, noise(), masks, masks)

    def __call__(self) -> float:
        """One step; returns its seconds."""
        began = time.perf_counter()
        self.gan.backward(self.inputs, images=self.images, with_r1=self.number % self.recipe.r1_every == 0)
        for optimizer in self.optimizers:
            step(optimizer, self.recipe.clip_gradients)
        self.ema.update(self.gan.generator, self.recipe.batch_size, 100_000)
        self.number += 1
        return time.perf_counter() - began


def main() -> None:
    """Print a line a recipe: milliseconds an image, images a second, ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", help="named recipes of 64 px, the first is the measure")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="change the last recipe")
    parser.add_argument("--steps", type=int, default=32, help="steps of each; 16 hold one gradient penalty")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--at", type=int, default=10**9, help="images seen")
    parser.add_argument("--system-allocator", action="store_true", help="hand freed memory back, as before a training")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if not asked.system_allocator:
        keep_freed_memory()
    changes = dict(word.split("=", 1) for word in asked.set)
    runs: list[Steps] = []
    for name, last in zip(asked.recipes, [False] * (len(asked.recipes) - 1) + [True], strict=True):
        made = recipe("swapper", name, changes if last else {})
        if not isinstance(made, SwapperRecipe):
            raise SystemExit(f"{name} is no recipe of a swapper")
        runs.append(Steps(made, asked.at, asked.precision))
    seconds: list[list[float]] = [[] for _ in runs]
    for _, (times, run) in itertools.product(range(asked.steps), zip(seconds, runs, strict=True)):
        times.append(run())
    rates = []
    for run, times in zip(runs, seconds, strict=True):
        common = [taken for number, taken in enumerate(times) if number and number % run.recipe.r1_every]
        rare = [taken for number, taken in enumerate(times) if number and number % run.recipe.r1_every == 0]
        every = run.recipe.r1_every
        mean = (statistics.median(common) * (every - 1) + statistics.median(rare or common)) / every
        rates.append(run.recipe.batch_size / mean)
        print(
            f"{run.recipe.name:24} batch {run.recipe.batch_size:3}  {1000 / rates[-1]:6.1f} ms/image  "
            f"{rates[-1]:6.1f} images/s  {rates[-1] / rates[0]:5.2f}×"
        )


if __name__ == "__main__":
    main()
