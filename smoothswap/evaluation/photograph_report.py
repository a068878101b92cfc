"""What can be said of swaps on photographs, where no true swap is known: identity, landmarks, background, copying.

Each figure alone is easily reached: copying the target keeps landmarks and background, and a tint may please a judge.
So the same figures of the untouched target stand beside those of the swap. N pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from smoothswap.evaluation.estimates import Share, mean, standard_error

HEAD_ELLIPSE = (0.5, 0.48, 0.33, 0.44)
"""The head in an FFHQ crop, about: centre (x, y) and half axes of an ellipse, as shares of the crop's side."""
_ELLIPSE = "an ellipse around the head (centre {:g}, {:g}, half axes {:g}, {:g} of the FFHQ crop's side)".format(
    *HEAD_ELLIPSE
)
BACKGROUND = f"pixels of the swapped box outside {_ELLIPSE}"
LANDMARKS = "mean distance of the swap's 68 landmarks to the target's, in distances of the target's eye centres"
SHARPNESS = (
    f"energy of x - [1 2 1]^T [1 2 1] / 16 * x in the swapped box within {_ELLIPSE}, summed over the pairs, "
    "against the target's"
)


@dataclass(frozen=True, kw_only=True)
class PhotographReport:
    """Swaps of N pairs of photographs.

    Attributes:
        nearer: for each judge float64 [N]: 1 where the swap is nearer to its source than to its target.
        to_source: for each judge the cosine [N] of swap and source.
        to_target: for each judge the cosine [N] of swap and target.
        between: for each judge the cosine [N] of source and target: what copying the target has.
        landmarks: distance of the 68 landmarks to the target's [N], in eye distances; NaN where the swap shows no face
            any more, None where the landmarker gives none.
        background: PSNR to the target [N] outside of the head, dB.
        reconstruction: PSNR to the target [N] in the swapped box where the target is its own source, dB.
        sharpness: detail of the swap's head against the target's.
        protocol: everything that decides the figures, plain JSON values.
        failures: pairs that could not be swapped, and why.
    """

    nearer: Mapping[str, Tensor]
    to_source: Mapping[str, Tensor]
    to_target: Mapping[str, Tensor]
    between: Mapping[str, Tensor]
    landmarks: Tensor | None
    background: Tensor
    reconstruction: Tensor
    sharpness: Share
    protocol: Mapping[str, Any]
    failures: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.background)

    def rows(self) -> list[tuple[str, str, str]]:
        """The figures as text: what it is, of the swap, of copying the target."""
        rows = []
        for judge, nearer in self.nearer.items():
            rows += [
                (f"nearer to the source, by {judge}", _percent(mean(nearer), standard_error(nearer)), "0.0 %"),
                (f"similarity to the source, by {judge}", _cosine(self.to_source[judge]), _cosine(self.between[judge])),
                (f"similarity to the target, by {judge}", _cosine(self.to_target[judge]), "1.000"),
            ]
        if self.landmarks is not None:
            error = f"{mean(self.landmarks):.3f} ± {standard_error(self.landmarks):.3f}"
            found = int((~self.landmarks.isnan()).sum())
            lost = f" (found in {found} of {len(self)})" if found < len(self) else ""
            rows.append((f"landmarks to the target's, eye distances{lost}", error, "0.000"))
        rows += [
            ("background, PSNR to the target", _decibels(self.background), "exact"),
            ("self-reconstruction, PSNR", _decibels(self.reconstruction), "exact"),
            ("sharpness of the head", _percent(self.sharpness.value, self.sharpness.error), "100.0 %"),
        ]
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Means, standard errors and protocol, plain values."""
        figures: dict[str, Any] = {
            "background_db": _figure(self.background),
            "reconstruction_db": _figure(self.reconstruction),
            "sharpness": {"value": self.sharpness.value, "error": self.sharpness.error},
            "landmarks": None if self.landmarks is None else _figure(self.landmarks),
            "landmarks_found": None if self.landmarks is None else int((~self.landmarks.isnan()).sum()),
        }
        for judge in self.nearer:
            figures[judge] = {
                "nearer": _figure(self.nearer[judge]),
                "to_source": _figure(self.to_source[judge]),
                "to_target": _figure(self.to_target[judge]),
                "source_to_target": _figure(self.between[judge]),
            }
        return {
            "pairs": len(self), "figures": figures, "protocol": dict(self.protocol), "failures": dict(self.failures),
        }  # fmt: skip


def landmark_error(swapped: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> float:
    """Mean distance of the 68 landmarks [68, 2] of a swap to those of its target, in the target's eye distances.

    The eye distance is that of the means of the six points of each eye (iBUG 300-W).
    """
    eyes = target[36:42].mean(axis=0) - target[42:48].mean(axis=0)
    return float(np.hypot(*(swapped - target).T).mean() / np.hypot(*eyes))


def head_ellipse(places: Tensor) -> Tensor:
    """Where the head is, about.

    Args:
        places: [H, W, 2] x and y of each pixel as shares of the FFHQ crop's side.

    Returns:
        bool [H, W].
    """
    x, y, across, down = HEAD_ELLIPSE
    return ((places[..., 0] - x) / across) ** 2 + ((places[..., 1] - y) / down) ** 2 <= 1


def _figure(values: Tensor) -> dict[str, float]:
    return {"mean": mean(values), "error": standard_error(values)}


def _cosine(values: Tensor) -> str:
    return f"{mean(values):.3f}"


def _decibels(values: Tensor) -> str:
    return f"{mean(values):.1f} ± {standard_error(values):.1f} dB"


def _percent(value: float, error: float) -> str:
    return f"{100 * value:.1f} ± {100 * error:.1f} %"
