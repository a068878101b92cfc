"""How smooth an identity space is: alignment, uniformity, and what lies on the way from one person to another.

N pictures, D identity dimensions, M pairs of test pictures, R steps on the way between two, G gallery (training)
pictures. Vectors of any length above 0 are taken by their direction. Distances are those of unit vectors, 0 to 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.neighbours import blocks, nearest
from smoothswap.evaluation.verification import of_each, unit_vectors
from smoothswap.modules import cosines

STEPS = tuple(step / 10 for step in range(1, 10))
"""r = 0.1 … 0.9, where the paper looks on the way from one person (0) to another (1)."""

_PARALLEL = 1e-9  # sine below which two vectors span no plane


def alignment(z: Tensor, labels: Tensor, alpha: float = 2.0) -> float:
    """How near pictures of one person lie (Wang & Isola 2020, arXiv 2005.10242, section 4.1.1): smaller is nearer.

        mean over pairs x ≠ y of pictures of one person of  ‖f(x) − f(y)‖₂^α

    Every pair counts alike, so people with more pictures weigh more.

    Args:
        z: identity vectors [N, D].
        labels: person of each picture [N].
        alpha: exponent α.

    Returns:
        0 to 2^α.

    Raises:
        ArgumentError: shapes that do not go together, an exponent not above 0, or no person with two pictures.
    """
    z = unit_vectors(z, labels)
    if not alpha > 0:
        raise ArgumentError(f"alpha must be above 0, got {alpha!r}")
    total, pairs = 0.0, 0
    for pictures in of_each(labels):
        own = z[pictures]
        distances = torch.pdist(own)
        total += float(distances.pow(alpha).sum())
        pairs += distances.numel()
    if not pairs:
        raise ArgumentError("alignment needs a person with two pictures", f"{len(z)} pictures, one of each person")
    return total / pairs


def uniformity(z: Tensor, t: float = 2.0) -> float:
    """How evenly pictures are spread over the sphere (Wang & Isola 2020, section 4.1.2): smaller is more even.

        log of the mean over pairs x ≠ y of pictures of  exp(−t ‖f(x) − f(y)‖₂²)

    All pairs of different pictures count, whomever they show; memory grows with N, not N².

    Args:
        z: identity vectors [N, D].
        t: t, how fast the potential falls with the distance.

    Returns:
        −4t to 0; 0 where all vectors are equal. Spread evenly over a circle: −2t + log I₀(2t), −1.575 for t = 2.

    Raises:
        ArgumentError: not [N, D], fewer than two pictures, or t not above 0.
    """
    z = unit_vectors(z, z.new_zeros(z.shape[:1]))
    if len(z) < 2 or not t > 0:
        raise ArgumentError(f"uniformity needs two pictures and t above 0, got {len(z)} pictures and t = {t!r}")
    parts = []
    places = torch.arange(len(z), device=z.device)
    for rows in blocks(len(z), len(z)):
        later = places[rows, None] < places[None, rows.start :]
        alike = (z[rows] @ z[rows.start :].T)[later]
        parts.append(torch.logsumexp(-2 * t * (1 - alike).clamp(min=0), dim=0))
    return float(torch.logsumexp(torch.stack(parts), dim=0)) - math.log(math.comb(len(z), 2))


@dataclass(frozen=True)
class Walk:
    """What lies on the way between the two pictures of M pairs, at R steps.

    Attributes:
        lengths: distance of each pair's two ends [M].
        distances: distance of each step to the nearest gallery picture [M, R].
        nearest: index of that picture in the gallery [M, R].
    """

    lengths: Tensor
    distances: Tensor
    nearest: Tensor

    @property
    def d_smooth(self) -> float:
        """Mean distance from the way to the nearest training picture, in units of the ends' mean distance.

            d_smooth = (1/R Σ_{pairs, r} ‖z_r − z_c(r)‖₂) / Σ_{pairs} ‖z_a − z_b‖₂

        Smaller is smoother: 0 where a training picture lies at every step, so that a small step in the identity vector
        always is a small step between people that can exist. The paper forms a ratio of distances whose
        normalisation is not known; this one does not change when all distances are scaled, and it is pooled over the
        pairs, so that two pictures that lie on each other do not make it infinite. It depends on the density of the
        gallery: compare embedders on one gallery only. NaN where all ends coincide: a constant embedder has no ways.
        """
        steps = self.distances.shape[1]
        length = float(self.lengths.sum())
        return float(self.distances.sum()) / steps / length if length > 1e-6 * len(self.lengths) else math.nan

    @property
    def counts(self) -> Tensor:
        """How many different gallery pictures are the nearest on the way, 1 to R: int64 [M] (the paper's Fig. 9)."""
        ordered = self.nearest.sort(dim=1).values
        return (ordered[:, 1:] != ordered[:, :-1]).sum(1) + 1

    @property
    def interpolation_count(self) -> float:
        """Mean of `counts`."""
        return float(self.counts.double().mean())


def walk(z_a: Tensor, z_b: Tensor, gallery: Tensor, steps: tuple[float, ...] = STEPS) -> Walk:
    """Go from one identity to another on the sphere, and find the nearest gallery picture at each step.

    Of gallery pictures that are as near (see `nearest`) the first is taken.

    Args:
        z_a: identity vectors of pictures of the test set [M, D].
        z_b: those of the other ends [M, D].
        gallery: identity vectors of training pictures [G, D].
        steps: R shares of the way.

    Raises:
        ArgumentError: shapes that do not go together, nothing in one of them, or vectors that are not finite.
    """
    if z_a.shape != z_b.shape or z_a.ndim != 2 or gallery.ndim != 2 or gallery.shape[1] != z_a.shape[1]:
        raise ArgumentError(
            "a walk needs ends [M, D] twice and a gallery [G, D]",
            f"ends: {list(z_a.shape)} and {list(z_b.shape)}",
            f"gallery: {list(gallery.shape)}",
        )
    if not (len(z_a) and len(gallery) and steps):
        raise ArgumentError(f"a walk needs pairs, steps and a gallery, got {len(z_a)}, {len(steps)}, {len(gallery)}")
    known = cosines.unit_vectors(gallery)
    ways = slerp(z_a, z_b, steps)
    if not (bool(known.isfinite().all()) and bool(ways.isfinite().all())):
        raise ArgumentError("an identity vector is not finite")
    points = ways.flatten(0, 1)
    found = nearest(points, known)
    lengths = (cosines.unit_vectors(z_a) - cosines.unit_vectors(z_b)).norm(dim=1)
    # From the vectors and not the cosines, which lose half of the digits of a small distance.
    distances = (points - known[found]).norm(dim=1)
    return Walk(lengths, distances.view(ways.shape[:2]), found.view(ways.shape[:2]))


def slerp(z_a: Tensor, z_b: Tensor, steps: tuple[float, ...] | Tensor = STEPS) -> Tensor:
    """Spherical interpolation: unit vectors [M, R, D] on the shorter great circle from z_a [M, D] to z_b [M, D].

    The steps are R shares of the way, or [M, R] with some for each pair of their own.
    Opposite vectors span no plane; the way between them then bends towards the axis that is farthest from both.
    Computed in double precision.
    """
    a, b = cosines.unit_vectors(z_a), cosines.unit_vectors(z_b)
    cosine = cosines.sum_in_order(a * b)[:, None]
    across = b - cosine * a
    sine = across.norm(dim=1, keepdim=True)
    axis = torch.nn.functional.one_hot(a.abs().argmin(1), a.shape[1]).to(a)
    other = axis - (axis * a).sum(1, keepdim=True) * a
    across = torch.nn.functional.normalize(torch.where(sine < _PARALLEL, other, across), dim=1)
    shares = torch.as_tensor(steps, dtype=a.dtype, device=a.device).expand(len(a), -1)
    angles = (torch.atan2(sine, cosine) * shares)[:, :, None]
    return angles.cos() * a[:, None] + angles.sin() * across[:, None]


def pairs_of_two_people(labels: Tensor, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw pairs of pictures of two different people, the same ones each time.

    Args:
        labels: person of each picture [N].
        count: number of pairs M.
        seed: decides the pairs.

    Returns:
        Indices of the first and of the second pictures, int64 [M] each; pairs may come again.

    Raises:
        ArgumentError: fewer than two people.
    """
    if len(torch.unique(labels)) < 2:
        raise ArgumentError("pairs of two people need two people", f"{len(labels)} pictures of one person")
    random = torch.Generator().manual_seed(seed)
    labels = labels.cpu()
    first, second = labels.new_empty(0, dtype=torch.int64), labels.new_empty(0, dtype=torch.int64)
    while len(first) < count:
        drawn = torch.randint(len(labels), (2, 2 * count), generator=random)
        drawn = drawn[:, labels[drawn[0]] != labels[drawn[1]]]
        first, second = torch.cat([first, drawn[0]]), torch.cat([second, drawn[1]])
    return first[:count], second[:count]
