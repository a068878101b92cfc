"""What is measured on each of N pictures, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from smoothswap.evaluation import fidelity
from smoothswap.evaluation.scene import Scene
from smoothswap.evaluation.similarity import similarity
from smoothswap.modules.cosines import TIE


@dataclass(frozen=True)
class Measured:
    """Measurements of N pictures offered as swaps, float64 [N] each.

    Attributes:
        to_source: cosine to the source by the judge.
        to_target: cosine to the target by the judge.
        psnr_whole: PSNR against the true swap, dB.
        psnr_face: the same in the face, dB.
        psnr_background: PSNR against the target in the background, dB; NaN where heads fill the picture.
        made_face: change made in the face, projected on the true change.
        true_face: the true change there.
        made_outline: change made in the outline, projected on the true change.
        true_outline: the true change there.
    """

    to_source: Tensor
    to_target: Tensor
    psnr_whole: Tensor
    psnr_face: Tensor
    psnr_background: Tensor
    made_face: Tensor
    true_face: Tensor
    made_outline: Tensor
    true_outline: Tensor

    def __len__(self) -> int:
        return len(self.to_source)

    @property
    def nearer(self) -> Tensor:
        """Which pictures the judge finds nearer to the source than to the target, by more than `TIE`: 0 or 1 [N]."""
        return (self.to_source > self.to_target + TIE).double()

    @property
    def share_face(self) -> float:
        """Share of the true change made in the face: 0 copies the target, 1 is the true swap."""
        return float(self.made_face.sum() / self.true_face.sum())

    @property
    def share_outline(self) -> float:
        """Share of the true change made in the outline, where the shape of the head and its hair shows."""
        return float(self.made_outline.sum() / self.true_outline.sum())

    def figures(self) -> dict[str, float]:
        """Every figure by name: means over the pictures, and the two shares."""
        return {
            "nearest_rate": mean(self.nearer),
            "to_source": mean(self.to_source),
            "to_target": mean(self.to_target),
            "psnr_whole": mean(self.psnr_whole),
            "psnr_face": mean(self.psnr_face),
            "psnr_background": mean(self.psnr_background),
            "share_face": self.share_face,
            "share_outline": self.share_outline,
        }

    def select(self, index: Tensor | Sequence[int] | slice) -> Measured:
        """The measurements of some of the pictures."""
        where = index if isinstance(index, slice | Tensor) else torch.as_tensor(list(index), dtype=torch.long)
        return Measured(*(getattr(self, field.name)[where] for field in fields(self)))

    @classmethod
    def cat(cls, parts: Sequence[Measured]) -> Measured:
        """Several batches as one, in order."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def measure(scene: Scene, pictures: Tensor, z: Tensor, z_source: Tensor, z_target: Tensor) -> Measured:
    """Measure pictures that claim to be the swaps of a scene.

    Args:
        scene: the B swaps that were to be made.
        pictures: what was made of them [B, 3, S, S] in [-1, 1].
        z: the judge's identity vectors of `pictures` [B, D].
        z_source: the judge's identity vectors of the sources [B, D].
        z_target: the judge's identity vectors of the targets [B, D].

    Raises:
        ArgumentError: shapes that do not go together.
    """
    made_face, true_face = fidelity.change_made(pictures, scene.target, scene.truth, scene.face)
    made_outline, true_outline = fidelity.change_made(pictures, scene.target, scene.truth, scene.outline)
    return Measured(
        to_source=similarity(z, z_source).cpu(),
        to_target=similarity(z, z_target).cpu(),
        psnr_whole=fidelity.psnr(pictures, scene.truth).cpu(),
        psnr_face=fidelity.psnr(pictures, scene.truth, scene.face).cpu(),
        psnr_background=fidelity.psnr(pictures, scene.target, scene.background).cpu(),
        made_face=made_face.cpu(),
        true_face=true_face.cpu(),
        made_outline=made_outline.cpu(),
        true_outline=true_outline.cpu(),
    )


def mean(values: Tensor) -> float:
    """Mean of [N], those that are not numbers left out; NaN where none is."""
    return float(values.double().nanmean())


def standard_error(values: Tensor) -> float:
    """Standard error of that mean; NaN for fewer than two numbers."""
    numbers = values.double()[~values.isnan()]
    return float(numbers.std() / len(numbers) ** 0.5) if len(numbers) > 1 else float("nan")
