"""Sheets of sample swaps: source, target, swap and, where the data set knows it, the true swap."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from smoothswap.core.face_crop import declared_face_crop
from smoothswap.core.files import write_aside
from smoothswap.core.interfaces import FaceDataset
from smoothswap.modules.face_input import crop_window
from smoothswap.training.batches import faces_at
from smoothswap.training.swap_inputs import knows_truth, to_inputs


class Pairs:
    """Fixed pairs of different people from a data set.

    A data set with true swaps gives its own pairs, drawn at random. Of any other, two pictures of different people are
    drawn.

    Args:
        dataset: where they come from.
        count: how many pairs.
        seed: which.

    Attributes:
        source: [N, 3, S, S] in [-1, 1].
        target: [N, 3, S, S] in [-1, 1].
        truth: the true swaps, alike, or None where the data set does not know them.
        face: [N, 1, S, S] in 0 … 1, face in the target or the true swap; None where it is not known.
        head: [N, 2, S, S] in 0 … 1, head in the target and in the true swap; likewise.
    """

    def __init__(self, dataset: FaceDataset, count: int, seed: int) -> None:
        self.face: Tensor | None = None
        self.head: Tensor | None = None
        if knows_truth(dataset):
            self._take(dataset, count, seed)
            return
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

    def _take(self, dataset: FaceDataset, count: int, seed: int) -> None:
        count = min(count, len(dataset))
        chosen = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:count]
        batch = default_collate([dataset[index] for index in chosen.tolist()])
        inputs = to_inputs(batch, torch.device("cpu"), torch.contiguous_format)
        self.source, self.target, self.truth = inputs.source, inputs.target, inputs.truth
        if inputs.face is not None and inputs.head is not None:
            self.face, self.head = inputs.face.amax(1, keepdim=True), inputs.head


def _true_swaps(dataset: FaceDataset, sources: list[int], targets: list[int], size: int) -> Tensor | None:
    factors = getattr(dataset, "factors", None)
    if factors is None:
        return None
    from smoothswap.data.faceworld import render, true_swap

    truth = true_swap(factors(torch.tensor(sources)), factors(torch.tensor(targets)))
    return render(truth, size=size, window=crop_window(declared_face_crop(dataset))).image


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
