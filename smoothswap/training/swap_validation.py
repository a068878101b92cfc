"""How the averaged generator does on held-out pairs, in numbers and on a sheet."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.face_crop import declared_face_crop
from smoothswap.evaluation import fidelity
from smoothswap.training.gan_step import cosine, embed
from smoothswap.training.samples import Pairs, sheet

_SHOWN = 8  # pairs on a sheet


@torch.no_grad()
def measure_swapper(
    generator: Any, f: Any, pairs: Pairs, device: torch.device, memory: torch.memory_format
) -> tuple[dict[str, float], Tensor]:
    """Swap some pairs and compare.

    Args:
        generator: the averaged generator.
        f: the embedder that it was trained with; its verdict is partial, since the generator learnt to please it.
        pairs: held-out pairs.
        device: where to.
        memory: order of the images in memory.

    Returns:
        Cosines to source and target, PSNR to the target picture and, where the true swaps are known, `held_out_gain`:
        the PSNR to them minus that of the untouched target, dB (above 0 the swap is worth having); with masks also
        `held_out_gain_face`, `held_out_background` (PSNR to the target, dB) and `held_out_outline` (share of the true
        change). And a sheet, uint8 [3, H, W].
    """
    crop = declared_face_crop(generator)
    swaps, z_swap, z_source, z_target = [], [], [], []
    for at in range(0, len(pairs.source), 16):
        source, target = (
            images[at : at + 16].to(device, memory_format=memory) for images in (pairs.source, pairs.target)
        )
        z_source.append(embed(f, source, crop))
        z_target.append(embed(f, target, crop))
        swap = generator(target, z_source[-1])
        z_swap.append(embed(f, swap, crop))
        swaps.append(swap.float().cpu())
    swapped, z = torch.cat(swaps), torch.cat(z_swap)
    values = {
        "held_out_similarity_source": float(cosine(z, torch.cat(z_source))),
        "held_out_similarity_target": float(cosine(z, torch.cat(z_target))),
        "held_out_psnr_target": mean_psnr(swapped, pairs.target),
    }
    columns = [pairs.source, pairs.target, swapped]
    if pairs.truth is not None:
        values["held_out_gain"] = mean_psnr(swapped, pairs.truth) - mean_psnr(pairs.target, pairs.truth)
        columns.append(pairs.truth)
        values |= _by_place(swapped.clamp(-1, 1), pairs)
    return values, sheet([column[:_SHOWN] for column in columns])


def _by_place(swapped: Tensor, pairs: Pairs) -> dict[str, float]:
    """Face, background and outline, as `smoothswap demo` measures them; nothing where the masks are not known."""
    if pairs.truth is None or pairs.face is None or pairs.head is None:
        return {}
    before, after = pairs.head[:, :1], pairs.head[:, 1:]
    gain = fidelity.psnr(swapped, pairs.truth, pairs.face) - fidelity.psnr(pairs.target, pairs.truth, pairs.face)
    behind = fidelity.psnr(swapped, pairs.target, fidelity.background(before, after))
    edge = fidelity.outline(before, after, margin=max(1, swapped.shape[-1] // 64))
    made, true = fidelity.change_made(swapped, pairs.target, pairs.truth, edge)
    figures = {
        "held_out_gain_face": float(gain.nanmean()),
        "held_out_background": float(behind.nanmean()),
        "held_out_outline": float(made.sum() / true.sum()),
    }
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def psnr(mse: float) -> float:
    """PSNR in dB of images in [-1, 1], at most 99."""
    return min(99.0, 10 * math.log10(4 / mse)) if mse > 0 else 99.0


def mean_psnr(a: Tensor, b: Tensor) -> float:
    """Mean over images of the PSNR, dB, the swap clipped to what a picture can hold."""
    mse = (a.clamp(-1, 1) - b).square().flatten(1).mean(1).clamp_min(1e-9)
    return float((10 * (4 / mse).log10()).mean())
