"""Where a training step and a swap spend their time: medians, shares of each op, peak memory.

    python tests/benchmarks/profile_models.py --size 64 --batch 8            # medians of every part
    python tests/benchmarks/profile_models.py --size 64 --part step --ops    # and PyTorch's own table of ops
    python tests/benchmarks/profile_models.py --size 256 --batch 1 --memory  # peak memory of a training step

The parts are those of `smoothswap.training`: the same players, losses, optimisers and average; pictures are noise.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from smoothswap import build
from smoothswap.core.assets import shipped
from smoothswap.modules import weights
from smoothswap.ops import use
from smoothswap.training.ema import Ema
from smoothswap.training.gan_step import GanStep
from smoothswap.training.named import swapper_faceworld_64, swapper_paper_256
from smoothswap.training.optimizers import gan_optimizer, step
from smoothswap.training.swap_inputs import SwapInputs

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class Players:
    """A swapper's training without its data.

    Args:
        size: 64 (the recipe `faceworld_64` with the shipped embedder) or 256 (`paper_256`, an untrained embedder).
        batch: pictures B.
        layout: channels_last or contiguous.
    """

    def __init__(self, size: int, batch: int, layout: str) -> None:
        torch.manual_seed(0)
        recipe = swapper_faceworld_64() if size == 64 else swapper_paper_256()
        self_pairs = min(recipe.self_pairs, batch - 1)
        recipe = replace(recipe, batch_size=batch, self_pairs=self_pairs, channels_last=layout == "channels_last")
        fabric = Fabric(accelerator="cpu")
        with embedder_file(size) as file:
            self.gan = GanStep(recipe, fabric, [file], set())
        generator, discriminator = self.gan.generator, self.gan.discriminator
        if discriminator is None:
            raise ValueError("the recipe has no adversarial loss")
        self.adversary = discriminator
        self.ema = Ema(generator, recipe.ema_half_life, recipe.ema_rampup)
        self.optimizers = [gan_optimizer(player, 1e-5, recipe.betas, fabric) for player in (generator, discriminator)]
        shape, memory = (batch, 3, size, size), LAYOUTS[layout]
        self.target, self.source = (torch.rand(shape).mul(2).sub(1).contiguous(memory_format=memory) for _ in range(2))
        self.inputs = SwapInputs(self.target, self.source, torch.zeros(batch, dtype=torch.bool))
        self.identity = torch.nn.functional.normalize(torch.randn(batch, self.gan.embedders[0].dim), dim=1)

    def step(self, with_r1: bool = False) -> None:
        """One step of both players, as the trainer takes it."""
        self.gan.backward(self.inputs, images=0, with_r1=with_r1)
        for optimizer in self.optimizers:
            step(optimizer, self.gan.recipe.clip_gradients)
        self.ema.update(self.gan.generator, len(self.target), 100_000)

    def step_with_r1(self) -> None:
        """A step that has the gradient penalty."""
        self.step(with_r1=True)

    @torch.no_grad()
    def swap(self) -> None:
        """The averaged generator alone, as in inference."""
        self.ema.module(self.target, self.identity)

    def generator(self) -> None:
        """The generator forward and backward, without losses."""
        self.gan.generator(self.target, self.identity).square().mean().backward()
        self.gan.generator.zero_grad()

    @torch.no_grad()
    def judge(self) -> None:
        """The discriminator forward."""
        self.adversary(self.target)

    def discriminator(self) -> None:
        """The discriminator forward and backward, once."""
        self.adversary(self.target).mean().backward()
        self.adversary.zero_grad()


PARTS: dict[str, Callable[[Players], None]] = {
    "step": Players.step,
    "step_with_r1": Players.step_with_r1,
    "generator": Players.generator,
    "discriminator": Players.discriminator,
    "swap": Players.swap,
    "judge": Players.judge,
}


@contextmanager
def embedder_file(size: int) -> Iterator[Path]:
    """The shipped embedder for 64 px; beyond, a file with the paper's, untrained: its arithmetic is the same."""
    if size == 64:
        yield shipped("faceworld_64/embedder.safetensors")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield weights.save(build("smooth_resnet50"), Path(folder) / "embedder.safetensors")


def median_ms(call: Callable[[], None], seconds: float) -> float:
    """Median time of `call` over about `seconds`, at least three times, after one call to warm up."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def table(call: Callable[[], None], rows: int) -> str:
    """PyTorch's profile of three calls, by time spent in each op itself."""
    call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            call()
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    lines = [f"{'share':>7} {'ms a call':>10} {'calls':>6}  op"]
    for event in sorted(events, key=lambda e: -e.self_cpu_time_total)[:rows]:
        own = event.self_cpu_time_total
        lines.append(f"{own / total:7.1%} {own / 3e3:10.2f} {event.count // 3:6}  {event.key[:90]}")
    return "\n".join(lines)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, choices=(64, 256))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layout", nargs="+", default=["channels_last"], choices=LAYOUTS)
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--backend", default="auto", help="as in smoothswap.ops.use")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each part")
    parser.add_argument("--ops", action="store_true", help="PyTorch's table of ops")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--memory", action="store_true", help="peak memory after two steps, one of them with R1")
    asked = parser.parse_args()
    for layout in asked.layout:
        players = Players(asked.size, asked.batch, layout)
        title = f"{asked.size} px, batch {asked.batch}, {layout}, {asked.backend}, {torch.get_num_threads()} threads"
        with use(asked.backend):
            if asked.memory:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                players.step()
                players.step_with_r1()
                after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                print(f"{title}: peak {after / 1024:.0f} MiB, {(after - before) / 1024:.0f} MiB above the weights")
                continue
            for part in asked.part:
                call = partial(PARTS[part], players)
                if asked.ops:
                    print(f"\n{title}: {part}\n{table(call, asked.rows)}", flush=True)
                else:
                    print(f"{title}: {part} {median_ms(call, asked.seconds):.1f} ms", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
