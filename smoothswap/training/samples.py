"""Sheets of sample swaps: source, target, swap and, where the data set knows it, the true swap."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from smoothswap.core.files import write_aside
from smoothswap.core.interfaces import FaceDataset
from smoothswap.training.batches import faces_at


class Pairs:
    """Fixed pairs of different people from a data set.

    Args:
        dataset: where they come from.
        count: how many pairs.
        seed: which.

    Attributes:
        source: [N, 3, S, S] in [-1, 1].
        target: [N, 3, S, S] in [-1, 1].
        truth: the true swaps, alike, or None where the data set does not know them.
    """

    def __init__(self, dataset: FaceDataset, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        sources: list[int] = []
        targets: list[int] = []
        for _ in range(50 * count):
            first, second = torch.randint(len(dataset), (2,), generator=generator).tolist()
            if len(sources) < count and dataset.labels[first] != dataset.labels[second]:
                sources.append(first)
                targets.append(second)
        self.source = faces_at(dataset, sources)
        self.target = faces_at(dataset, targets)
        self.truth = _true_swaps(dataset, sources, targets, self.target.shape[-1])


def _true_swaps(dataset: FaceDataset, sources: list[int], targets: list[int], size: int) -> Tensor | None:
    factors = getattr(dataset, "factors", None)
    if factors is None:
        return None
    from smoothswap.data.faceworld import render, true_swap

    truth = true_swap(factors(torch.tensor(sources)), factors(torch.tensor(targets)))
    return render(truth, size=size).image


def sheet(columns: list[Tensor], gap: int = 2) -> Tensor:
    """Put pictures side by side: one row a pair, one column for each kind of picture.

    Args:
        columns: each [N, 3, S, S] in [-1, 1].
        gap: white pixels between pictures.

    Returns:
        uint8 [3, H, W].
    """
    cells = torch.stack(columns, 1).float().cpu()
    cells = torch.nn.functional.pad(cells, (0, gap, 0, gap), value=1.0)
    N, C, _, S, W = cells.shape
    whole = cells.permute(2, 0, 3, 1, 4).reshape(3, N * S, C * W)
    return whole.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def save_sheet(image: Tensor, path: Path) -> None:
    """Write a uint8 [3, H, W] picture as PNG, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    with write_aside(path) as aside:
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(aside)
