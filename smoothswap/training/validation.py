"""How well an embedder does on held-out people: who is who, and how smooth the space between them is."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from smoothswap.core.errors import ConfigError
from smoothswap.core.interfaces import FaceDataset
from smoothswap.evaluation.identification import identify
from smoothswap.evaluation.smoothness import alignment, pairs_of_two_people, uniformity, walk
from smoothswap.evaluation.verification import verify
from smoothswap.modules.face_input import to_face_input
from smoothswap.training.batches import faces_at
from smoothswap.training.health import check_finite

_WAYS = 500  # pairs of held-out people between whom d_smooth walks
_FARS = (1e-3, 1e-2, 1e-1)


class Validation:
    """The pictures that a training is measured on, chosen once: held-out people, and training people as gallery.

    Args:
        held_out: people that are not trained on.
        training: the training data; d_smooth asks which of its pictures lie between held-out people.
        images: about so many pictures of each of the two, of people spread evenly.
        monitor: the figure that must be measurable.

    Raises:
        ConfigError: the held-out pictures do not give that figure.
    """

    def __init__(self, held_out: FaceDataset, training: FaceDataset, images: int, monitor: str) -> None:
        self.held_out, self.training = held_out, training
        self.asked = some_people(held_out.labels, images)
        self.gallery = some_people(training.labels, images)
        self.labels = held_out.labels[self.asked]
        groups = getattr(held_out, "groups", None)
        self.groups = None if groups is None else torch.as_tensor(groups)[self.labels]
        same = _pairs(self.labels)
        different = math.comb(len(self.labels), 2) - same
        if not (same and different):
            raise ConfigError(
                "the validation data shows no two people of whom one has two pictures",
                f"pairs of one person: {same}, pairs of two people: {different}",
                hint="bring more held-out people, or train without measuring: --set validation=none",
            )
        if self.groups is not None and _pairs(self.groups) == same:
            self.groups = None  # nobody shares a colouring with anybody
        self.far = next((far for far in _FARS if far * different >= 1), None)
        lacking = {"auc_shape": self.groups is None, "tar_at_far": self.far is None}
        if lacking.get(monitor, False):
            raise ConfigError(
                f"monitor cannot be {monitor!r}: the validation data does not give that figure",
                "auc_shape needs groups of people with one colouring, tar_at_far ten pairs of two people",
                hint="watch another figure: --set monitor=auc",
            )

    @torch.no_grad()
    def measure(self, embedder: nn.Module, device: torch.device, after: int) -> dict[str, float]:
        """Every figure of an embedder after so many images of training, by name.

        Returns:
            `auc`, where groups are known `auc_shape`, `tar_at_far_…` at the strictest rate of 1e-3, 1e-2 and 1e-1 that
            the number of pairs allows, `knn_rank1`, `alignment`, `uniformity`, `interpolation_count` and, where people
            differ at all, `d_smooth`. See `smoothswap.evaluation`.

        Raises:
            WorkError: the embedder gives vectors that are not finite.
        """
        z = embed(embedder, self.held_out, self.asked.tolist(), device)
        known = embed(embedder, self.training, self.gallery.tolist(), device)
        finite = bool(z.isfinite().all()) and bool(known.isfinite().all())
        check_finite({"an identity vector": 0.0 if finite else math.nan}, after)
        found = verify(z, self.labels, far=self.far or 0.0)
        values = {"auc": found.auc}
        if self.groups is not None:
            values["auc_shape"] = verify(z, self.labels, self.groups).auc
        if self.far is not None:
            values[f"tar_at_far_1e{round(math.log10(self.far))}"] = found.tar
        values["knn_rank1"] = identify(z, self.labels, k=1).rank1
        values["alignment"] = alignment(z, self.labels)
        values["uniformity"] = uniformity(z)
        first, second = pairs_of_two_people(self.labels, _WAYS)
        way = walk(z[first], z[second], known)
        values |= {"d_smooth": way.d_smooth, "interpolation_count": way.interpolation_count}
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
    steps = max(2, round(share * len(people))) - 1
    # In whole numbers: a place half way between two people would be rounded by the processor's last bit.
    places = (2 * torch.arange(steps + 1) * (len(people) - 1) + steps) // (2 * steps)
    kept = torch.unique(people[places])
    return torch.cat([(labels == person).nonzero()[:per_person, 0] for person in kept])


def _pairs(labels: Tensor) -> int:
    """Number of pairs with equal labels. labels: [N]."""
    return sum(math.comb(count, 2) for count in torch.unique(labels, return_counts=True)[1].tolist())
