"""The whole way in small: train an embedder and a swapper with it on FaceWorld, then load and use them.

A few steps teach nothing; it shows what a training needs and leaves behind. `smoothswap train embedder` and
`smoothswap train swapper` do the same from the command line. Run: python examples/04_train_tiny.py
"""

import tempfile
from pathlib import Path

import torch

import smoothswap
from smoothswap.data.faceworld import Population, render, swap_pairs
from smoothswap.training import recipe, train_embedder, train_swapper

# A small world in small pictures; everything else is as in the recipe `faceworld_64`.
small = {
    "image_size": "32",
    "data.groups": "2",
    "data.people_per_group": "4",
    "data.images_per_person": "4",
    "data.supersample": "1",
    "validation": "none",
    "warmup_images": "0",
    "log_every": "32",
}
of_embedder = small | {"images": "128", "people_per_batch": "8", "embedder.dim": "64"}
of_generator = small | {
    "images": "16",
    "batch_size": "4",
    "generator.base_channels": "16",
    "generator.identity_dim": "64",
}

with tempfile.TemporaryDirectory() as folder:
    runs = Path(folder)
    train_embedder(
        recipe("embedder", "faceworld_64", of_embedder), runs / "embedder", accelerator="cpu", progress=False
    )
    train_swapper(
        recipe("swapper", "faceworld_64", of_generator),
        runs / "swapper",
        embedder=runs / "embedder" / "embedder.safetensors",
        accelerator="cpu",
        progress=False,
    )
    for path in sorted((runs / "swapper").iterdir()):
        print(f"{path.name:32} {path.stat().st_size / 2**10:8.0f} KiB")

    generator = smoothswap.load(runs / "swapper" / "generator.safetensors").eval()
    embedder = smoothswap.load(runs / "embedder" / "embedder.safetensors").eval()

source, target = (render(factors, size=32).image for factors in swap_pairs(Population(groups=1), count=2))
with torch.no_grad():
    swapped = generator(target, embedder(source))
print(f"swapped {list(swapped.shape)}; mean change of a pixel {(swapped - target).abs().mean():.4f}")
