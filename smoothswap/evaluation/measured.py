"""What is measured on each of N pictures, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from smoothswap.evaluation import fidelity
from smoothswap.evaluation.estimates import Share, mean
from smoothswap.evaluation.per_image import PerImage
from smoothswap.evaluation.scene import Scene
from smoothswap.evaluation.sharpness import detail
from smoothswap.evaluation.similarity import similarity
from smoothswap.modules.cosines import TIE


@dataclass(frozen=True)
class Likeness(PerImage):
    """Whom N pictures show, by one judge.

    Attributes:
        to_source: cosine to the source, float64 [N].
        to_target: cosine to the target, float64 [N].
    """

    to_source: Tensor
    to_target: Tensor

    @classmethod
    def of(cls, z: Tensor, z_source: Tensor, z_target: Tensor) -> Likeness:
        """Compare the judge's identity vectors of pictures, sources and targets, each [N, D].

        Raises:
            ArgumentError: shapes that do not go together.
        """
        return cls(similarity(z, z_source).cpu(), similarity(z, z_target).cpu())

    @property
    def nearer(self) -> Tensor:
        """Which pictures the judge finds nearer to the source than to the target, by more than `TIE`: 0 or 1 [N]."""
        return (self.to_source > self.to_target + TIE).double()

    def figures(self) -> dict[str, float]:
        """Means over the pictures, by name."""
        return {
            "nearest_rate": mean(self.nearer),
            "to_source": mean(self.to_source),
            "to_target": mean(self.to_target),
        }


@dataclass(frozen=True)
class Measured(PerImage):
    """Measurements of N pictures offered as swaps, tensors float64 [N].

    Attributes:
        likeness: whom they show, by the judge.
        further: whom they show, by each further judge, by its name.
        psnr_whole: PSNR against the true swap, dB.
        psnr_face: the same in the face, dB.
        psnr_background: PSNR against the target in the background, dB; NaN where heads fill the picture.
        share_face: share of the true change made in the face: 0 copies the target, 1 is the true swap.
        share_outline: the same in the outline, where the shape of the head and its hair shows.
        sharpness: detail in the head, as a share of the true swap's.
    """

    likeness: Likeness
    further: dict[str, Likeness]
    psnr_whole: Tensor
    psnr_face: Tensor
    psnr_background: Tensor
    share_face: Share
    share_outline: Share
    sharpness: Share

    def __len__(self) -> int:
        return len(self.psnr_whole)

    def figures(self) -> dict[str, float]:
        """Every figure by name: means over the pictures, and the shares. Further judges' end in `_` and their name."""
        told = {f"{key}_{name}": value for name, by in self.further.items() for key, value in by.figures().items()}
        return {
            **self.likeness.figures(),
            **told,
            "psnr_whole": mean(self.psnr_whole),
            "psnr_face": mean(self.psnr_face),
            "psnr_background": mean(self.psnr_background),
            "share_face": self.share_face.value,
            "share_outline": self.share_outline.value,
            "sharpness": self.sharpness.value,
        }


def measure(
    scene: Scene, pictures: Tensor, likeness: Likeness, further: Mapping[str, Likeness] | None = None
) -> Measured:
    """Measure pictures that claim to be the swaps of a scene.

    Args:
        scene: the B swaps that were to be made.
        pictures: what was made of them [B, 3, S, S] in [-1, 1].
        likeness: whom `pictures` show, by the judge.
        further: the same by further judges, by name.

    Raises:
        ArgumentError: shapes that do not go together.
    """

    def share(part: Tensor, whole: Tensor) -> Share:
        return Share(part.cpu(), whole.cpu())

    return Measured(
        likeness=likeness,
        further=dict(further or {}),
        psnr_whole=fidelity.psnr(pictures, scene.truth).cpu(),
        psnr_face=fidelity.psnr(pictures, scene.truth, scene.face).cpu(),
        psnr_background=fidelity.psnr(pictures, scene.target, scene.background).cpu(),
        share_face=share(*fidelity.change_made(pictures, scene.target, scene.truth, scene.face)),
        share_outline=share(*fidelity.change_made(pictures, scene.target, scene.truth, scene.outline)),
        sharpness=share(detail(pictures, scene.head), detail(scene.truth, scene.head)),
    )
