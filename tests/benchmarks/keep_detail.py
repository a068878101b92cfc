"""What `keep_detail` gives and costs, on pictures larger than a generator's crops, against their true swaps.

    python tests/benchmarks/keep_detail.py --pairs 24 --seed 77

Rendered heads of 256 px are swapped by the shipped model of 64 px and pasted back: without detail, with detail where
the generator changed little (the default of `swap`), and with all of it.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.cli.demo_models import load_models
from smoothswap.cli.demo_pairs import draw_pairs
from smoothswap.data.faceworld import render, true_swap
from smoothswap.evaluation import detail, embed, psnr
from smoothswap.pipeline.ffhq import Square

LARGE, SMALL = 256, 64
HOW = {"none": None, "where little changed": 0.03, "all of it": 1e9}
"""How much detail is kept, by the change of a crop that leaves a third of it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=77, help="of the pairs, as for `smoothswap demo`")
    asked = parser.parse_args(arguments)
    source, target = draw_pairs(asked.pairs, asked.seed)
    models = load_models(None)
    old, wanted = render(target, LARGE), render(true_swap(source, target), LARGE)
    face = (torch.maximum(old.face, wanted.face) > 0.5).float()
    head = (torch.maximum(old.head, wanted.head) > 0.5).float()
    pictures, truth = as_bytes(old.image), as_bytes(wanted.image) / 127.5 - 1
    crops = F.avg_pool2d(pictures, LARGE // SMALL) / 127.5 - 1
    with torch.inference_mode():
        new = models.generator(crops, embed(models.embedder, render(source, SMALL).image)).clamp(-1, 1)
    print("| detail kept | PSNR to the true swap, face | whole | sharpness of the head |\n|---|---|---|---|")
    for says, changed in HOW.items():
        pasted = pasted_back(pictures, crops, new, changed)
        sharp = float(detail(pasted, head).sum() / detail(truth, head).sum())
        in_face, whole = (float(psnr(pasted, truth, mask).mean()) for mask in (face, torch.ones_like(face)))
        print(f"| {says} | {in_face:.2f} dB | {whole:.2f} dB | {100 * sharp:.0f} % |")


def pasted_back(pictures: Tensor, crops: Tensor, new: Tensor, changed: float | None) -> Tensor:
    """Swapped crops in their pictures, [N, 3, S, S] in [-1, 1]."""
    paste: Any = importlib.import_module("smoothswap.pipeline.paste")  # the package has a function of that name
    whole = Square(np.array([(-0.5, -0.5), (-0.5, LARGE - 0.5), (LARGE - 0.5, LARGE - 0.5), (LARGE - 0.5, -0.5)]))
    usual = paste._CHANGED
    paste._CHANGED = changed or usual
    try:
        made = [
            paste.paste(
                last(picture).astype(np.uint8),
                [last(face + 1) / 2],
                [whole],
                feather=0,
                originals=None if changed is None else [last(crop + 1) / 2],
            )
            for picture, crop, face in zip(pictures, crops, new, strict=True)
        ]
    finally:
        paste._CHANGED = usual
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 127.5 - 1


def as_bytes(images: Tensor) -> Tensor:
    """[-1, 1] as whole grey levels 0 … 255."""
    return ((images + 1) * 127.5).round().clamp(0, 255)


def last(image: Tensor) -> Any:
    """[3, S, S] as a NumPy array [S, S, 3]."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()
