"""How well an embedder tells held-out people apart: verification AUC, of all and of people of one colouring."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from smoothswap.core.interfaces import FaceDataset
from smoothswap.modules.face_input import to_face_input
from smoothswap.training.batches import faces_at


def auc(positive: Tensor, negative: Tensor) -> float:
    """Probability that a positive pair scores higher than a negative one, ties counting half.

    Args:
        positive: scores of pairs of one person, [N].
        negative: scores of pairs of two people, [M].

    Returns:
        0 to 1, or NaN where one of them is empty.
    """
    if not positive.numel() or not negative.numel():
        return float("nan")
    ordered = negative.sort().values
    below = torch.searchsorted(ordered, positive, right=False).double()
    not_above = torch.searchsorted(ordered, positive, right=True).double()
    return float(((below + not_above) / 2).mean() / ordered.numel())


def verification(z: Tensor, labels: Tensor, groups: Tensor | None = None) -> dict[str, float]:
    """AUC of the cosine over all pairs of different images.

    Args:
        z: unit vectors [N, D].
        labels: person of each image, [N].
        groups: group of the same colouring of each image, [N].

    Returns:
        `auc` over all pairs and, where groups are given, `auc_shape`: negatives are two people of one group, so that
        only the shape tells them apart.
    """
    rows, columns = torch.triu_indices(len(z), len(z), 1, device=z.device)
    scores = (z @ z.T)[rows, columns]
    same = labels[rows] == labels[columns]
    values = {"auc": auc(scores[same], scores[~same])}
    if groups is not None:
        alike = groups[rows] == groups[columns]
        values["auc_shape"] = auc(scores[same & alike], scores[~same & alike])
    return {name: value for name, value in values.items() if value == value}


@torch.no_grad()
def embed(embedder: nn.Module, dataset: FaceDataset, indices: list[int], device: torch.device) -> Tensor:
    """Identity vectors of some of a data set's images, [N, D] on the CPU."""
    expects: Any = embedder.expects
    parts = [
        embedder(to_face_input(faces_at(dataset, indices[at : at + 64]).to(device), expects)).float().cpu()
        for at in range(0, len(indices), 64)
    ]
    return torch.cat(parts)


def some_people(labels: Tensor, images: int, per_person: int = 8) -> Tensor:
    """Indices of about `images` images of people spread evenly over a data set, at most `per_person` of each.

    Whole people, since images drawn one by one from many would hold no pair of the same person.
    """
    people = torch.unique(labels)
    counts = torch.bincount(labels)[people].clamp(max=per_person)
    share = min(1.0, images / float(counts.sum()))
    kept = torch.unique(people[torch.linspace(0, len(people) - 1, max(2, round(share * len(people)))).round().long()])
    return torch.cat([(labels == person).nonzero()[:per_person, 0] for person in kept])


def measure_embedder(
    embedder: nn.Module, dataset: FaceDataset, device: torch.device, most: int = 2_000
) -> dict[str, float]:
    """Verification on about `most` images of a data set."""
    indices = some_people(dataset.labels, most)
    z = embed(embedder, dataset, indices.tolist(), device)
    groups = getattr(dataset, "groups", None)
    return verification(
        z, dataset.labels[indices], None if groups is None else torch.as_tensor(groups)[dataset.labels[indices]]
    )
