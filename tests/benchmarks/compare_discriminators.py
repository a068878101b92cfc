"""How soon a discriminator tells photographs from swaps that stay as they are, by images seen.

    python tests/benchmarks/compare_discriminators.py MODEL ALIGNED

MODEL is a folder that `smoothswap train swapper` wrote. Its generator puts a random person of ALIGNED, a folder that
`smoothswap align` wrote, into each of its photographs, without refining. Each discriminator then learns from all but
the last of them, and is asked about those: AUC of its logits, 0.5 is chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import smoothswap
from smoothswap.api import model_files
from smoothswap.core.face_crop import declared_face_crop
from smoothswap.data.range import to_float
from smoothswap.evaluation import embed, roc
from smoothswap.modules.pretrained import embedder_path

KINDS: dict[str, tuple[str, dict[str, Any], float]] = {
    "stylegan2": ("stylegan2", {"channel_base": 2048, "channel_max": 256}, 4e-3),
    "stylegan2, slower": ("stylegan2", {"channel_base": 2048, "channel_max": 256}, 1e-3),
    "projected": ("projected", {}, 2e-3),
}
"""Name, options and learning rate of each."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("aligned", type=Path)
    parser.add_argument("--steps", type=int, default=450, help="of 16 photographs and 16 swaps")
    parser.add_argument("--every", type=int, default=150, help="steps between two looks")
    parser.add_argument("--held-out", type=int, default=200, help="photographs, and swaps, that are only asked about")
    asked = parser.parse_args(arguments)
    real, fake = pictures_of(asked.model, asked.aligned)
    print("| discriminator | learning rate | " + " | ".join(f"{16 * n:,}" for n in looks(asked)) + " |")
    print("|---|---|" + "---|" * len(looks(asked)))
    for says, (name, options, rate) in KINDS.items():
        torch.manual_seed(0)
        discriminator = smoothswap.build(name, "discriminator", image_size=real.shape[-1], **options)
        found = learn(discriminator, rate, real, fake, asked)
        print(f"| {says} | {rate:g} | " + " | ".join(f"{value:.2f}" for value in found) + " |", flush=True)


def looks(asked: argparse.Namespace) -> range:
    """Steps after which the held-out ones are looked at."""
    return range(asked.every, asked.steps + 1, asked.every)


@torch.no_grad()
def pictures_of(model: Path, aligned: Path) -> tuple[Tensor, Tensor]:
    """Photographs, and as many swaps into them: [N, 3, S, S] in [-1, 1]."""
    generator_file, embedder_file = model_files(model)
    generator, embedder = smoothswap.load(generator_file).eval(), smoothswap.load(embedder_path(embedder_file)).eval()
    crop = declared_face_crop(generator)
    size = {"image_size": generator.image_size, "crop_scale": crop.scale}
    data = smoothswap.build("image_folder", folder=str(aligned), split="all", **size)
    real = to_float(torch.stack([data[i]["image"] for i in range(len(data))]))
    torch.manual_seed(0)
    sources = real[torch.randperm(len(real))]
    pairs = zip(real.split(32), sources.split(32), strict=True)
    return real, torch.cat([generator(x, embed(embedder, source, crop)).clamp(-1, 1) for x, source in pairs])


def learn(discriminator: nn.Module, rate: float, real: Tensor, fake: Tensor, asked: argparse.Namespace) -> list[float]:
    """Train on all but the last pictures; AUC on those at every look."""
    optimizer = torch.optim.Adam(discriminator.parameters(), rate, betas=(0.0, 0.99))
    adversarial, r1 = smoothswap.build("adversarial", "swap_loss"), smoothswap.build("r1", gamma=0.1, every=16)
    seen, found = len(real) - asked.held_out, []
    discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    real, fake = (pictures.contiguous(memory_format=torch.channels_last) for pictures in (real, fake))
    for step in range(1, asked.steps + 1):
        photographs, swaps = (mirrored(pool[torch.randint(seen, (16,))]) for pool in (real, fake))
        photographs.requires_grad_(step % 16 == 1)
        logits = discriminator(photographs)
        loss = adversarial.discriminator(logits, discriminator(swaps))
        if photographs.requires_grad:
            loss = loss + r1.weight * r1(logits, photographs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in looks(asked):
            with torch.no_grad():
                scores = [torch.cat([discriminator(part) for part in pool[seen:].split(32)]) for pool in (real, fake)]
            false, true = roc(scores[0].flatten(), scores[1].flatten())
            found.append(float(torch.trapezoid(true, false)))
    return found


def mirrored(pictures: Tensor) -> Tensor:
    """Half of them mirrored, by chance."""
    return torch.where(torch.rand(len(pictures), 1, 1, 1) < 0.5, pictures.flip(3), pictures)


if __name__ == "__main__":
    main()
