"""The head as one smooth distance field: ellipsoids melted together, with soft bumps and dents.

Shapes: B heads, E ellipsoids or bumps, N points. Points are in head space (x right in the picture, y up, z to the
camera of a frontal head; the picture spans -1..1).

Every shape is a quadratic form of the point, so all of them are evaluated by one matrix product with the ten monomials
of (x, y, z); what is left is a few elementwise passes. That is what makes the renderer fast without a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLEND = 36.0
"""Sharpness of the smooth union: shapes melt over about 1 / BLEND."""

FARTHEST = -60.0
"""Where minus the distance times BLEND is cut: less has a denormal exponential, and processors are slow at those."""


@dataclass(frozen=True)
class Ellipsoids:
    """E ellipsoids a head; q is the quadratic form that is 1 on the surface.

    Attributes:
        inside: [B, E, 10] 1 - q, on the monomials.
        steepness: [B, E, 10] (|grad q| / BLEND)², on the monomials; it turns q into a distance.
        slopes: [B, E, 12] grad q / 2 as an affine map: three linear rows, then the constant.
    """

    inside: Tensor
    steepness: Tensor
    slopes: Tensor


def ellipsoids(centres: Tensor, radii: Tensor, tilt: Tensor, roll: Tensor) -> Ellipsoids:
    """Ellipsoids from their geometry.

    Args:
        centres: [B, E, 3].
        radii: [B, E, 3], all positive.
        tilt: [B, E] radians about x (positive leans the top towards the camera).
        roll: [B, E] radians about z (positive turns counter-clockwise in the picture), after `tilt`.
    """
    ct, st, cr, sr = tilt.cos(), tilt.sin(), roll.cos(), roll.sin()
    zero = torch.zeros_like(ct)
    axes = torch.stack(  # columns are the ellipsoid's own axes in head space
        [
            torch.stack([cr, -sr * ct, sr * st], -1),
            torch.stack([sr, cr * ct, -cr * st], -1),
            torch.stack([zero, st, ct], -1),
        ],
        -2,
    )
    quadric, matrix, offset = _form(axes, radii**-2, centres)
    steepness, _, _ = _form(axes, radii**-4, centres)
    steepness[..., 9] += 0.02 * (radii**-2).mean(-1)  # keeps rounding from making it negative at the centre
    inside = -quadric
    inside[..., 9] += 1
    slopes = torch.cat([matrix, -offset.unsqueeze(-2)], -2).flatten(2)
    return Ellipsoids(inside, steepness * (4 / BLEND**2), slopes)


def _form(axes: Tensor, scale: Tensor, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(p - c)ᵀ M (p - c) with M = axes diag(scale) axesᵀ: its ten coefficients, M and M c."""
    matrix = (axes * scale.unsqueeze(-2)) @ axes.transpose(-1, -2)
    offset = (matrix @ centres.unsqueeze(-1)).squeeze(-1)
    constant = (offset * centres).sum(-1, keepdim=True)
    crossed = 2 * torch.stack([matrix[..., 0, 1], matrix[..., 0, 2], matrix[..., 1, 2]], -1)
    return torch.cat([matrix.diagonal(dim1=-2, dim2=-1), crossed, -2 * offset, constant], -1), matrix, offset


@dataclass(frozen=True)
class Head:
    """Everything solid about B heads: S skin ellipsoids, H of hair, U bumps.

    Attributes:
        quadrics: [B, 2 (S + H) + U, 10]: `inside` of skin and hair, their `steepness`, `inside` of the bumps.
        slopes: [B, S + H + U, 12].
        bumps: [B, 1, U] heights; negative ones are dents. They displace the skin only.
        skin: S.
        hair: H; the last one is the opening for the face, which is cut out of the others.
    """

    quadrics: Tensor
    slopes: Tensor
    bumps: Tensor
    skin: int
    hair: int

    def select(self, part: slice) -> Head:
        """Some of the heads."""
        return Head(self.quadrics[part], self.slopes[part], self.bumps[part], self.skin, self.hair)


def assemble(skin: Ellipsoids, hair: Ellipsoids, bumps: Ellipsoids, heights: Tensor) -> Head:
    """One `Head` from its three sets of shapes; `heights`: [B, U]."""
    quadrics = torch.cat([skin.inside, hair.inside, skin.steepness, hair.steepness, bumps.inside], 1)
    slopes = torch.cat([skin.slopes, hair.slopes, bumps.slopes], 1)
    return Head(quadrics.contiguous(), slopes, heights.unsqueeze(1), skin.slopes.shape[1], hair.slopes.shape[1])


def _monomials(points: Tensor) -> Tensor:
    """[B, 3, N] points -> [B, 10, N]: x², y², z², xy, xz, yz, x, y, z, 1."""
    x, y, z = points.unbind(1)
    return torch.stack([x * x, y * y, z * z, x * y, x * z, y * z, x, y, z, torch.ones_like(x)], 1)


def _evaluate(head: Head, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per shape: minus distance times BLEND [B, S + H, N], its slope's factor likewise, the bumps' 1 - q [B, U, N].

    The distance is (q - 1) / |grad q|, q's first-order estimate: exact at the surface and never too long outside.
    """
    count = head.skin + head.hair
    values = torch.bmm(head.quadrics, _monomials(points))
    factor = values[:, count : 2 * count].rsqrt_()
    exponents = values[:, :count].mul_(factor).clamp_(min=FARTHEST)
    return exponents, factor, values[:, 2 * count :].relu_()


def _union(weights: Tensor) -> Tensor:
    """Smooth minimum of the distances, from exp(-BLEND distance): [B, E, N] -> [B, N]."""
    return weights.sum(1).log_().mul_(-1 / BLEND)


def _cut(hair: Tensor, opening: Tensor) -> Tensor:
    """`hair` without the inside of `opening`, with a rounded edge: a smooth maximum."""
    gap = (0.08 - (hair + opening).abs()).relu_()
    return torch.maximum(hair, -opening).add_(gap.mul_(gap), alpha=1 / 0.32)


def distance(head: Head, points: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the skin and to the hair, each [B, N], negative inside; exact only close to the surface.

    Args:
        head: B heads.
        points: [B, 3, N].
    """
    exponents, _, inside = _evaluate(head, points)
    opening = exponents[:, -1] * (-1 / BLEND)
    weights = exponents[:, :-1].exp_()
    skin = _union(weights[:, : head.skin])
    skin -= torch.bmm(head.bumps, inside.square_()).squeeze(1)
    return skin, _cut(_union(weights[:, head.skin :]), opening)


@dataclass(frozen=True)
class Surface:
    """What is known of points on the surface.

    Attributes:
        skin: [B, N] distance to the skin.
        hair: [B, N] distance to the hair.
        skin_normal: [B, 3, N] unit length.
        hair_normal: [B, 3, N] unit length.
        shares: [B, S, N] how much each skin ellipsoid makes up the point; sums to 1.
    """

    skin: Tensor
    hair: Tensor
    skin_normal: Tensor
    hair_normal: Tensor
    shares: Tensor


def surface(head: Head, points: Tensor) -> Surface:
    """Distances and analytic normals at `points` [B, 3, N]."""
    s, h = head.skin, head.hair
    exponents, factor, inside = _evaluate(head, points)
    opening = exponents[:, -1] * (-1 / BLEND)
    weights = exponents[:, :-1].exp_()
    skin, hair = _union(weights[:, :s]), _union(weights[:, s:])
    shares = weights[:, :s] / weights[:, :s].sum(1, keepdim=True)
    locks = weights[:, s:] / weights[:, s:].sum(1, keepdim=True)
    cut = ((hair + opening) / 0.16 + 0.5).clamp_(0, 1).unsqueeze(1)  # 1: the hair's own surface, 0: edge of the opening
    # factor is BLEND / |grad q|; the bumps' (1 - q)² has the gradient -4 (1 - q) (grad q / 2)
    relief = head.bumps.transpose(1, 2) * inside * (2 * BLEND)
    skin_weights = torch.cat([shares * factor[:, :s], relief], 1)
    hair_weights = torch.cat([locks * factor[:, s:-1] * cut, -factor[:, -1:] * (1 - cut)], 1)
    skin = skin - torch.bmm(head.bumps, inside.square()).squeeze(1)
    skin_slopes = torch.cat([head.slopes[:, :s], head.slopes[:, s + h :]], 1)
    return Surface(
        skin,
        _cut(hair, opening),
        _normal(skin_slopes, skin_weights, points),
        _normal(head.slopes[:, s : s + h], hair_weights, points),
        shares,
    )


def _normal(slopes: Tensor, weights: Tensor, points: Tensor) -> Tensor:
    """Unit gradient of a weighted sum of quadratic forms: slopes [B, E, 12], weights [B, E, N] -> [B, 3, N]."""
    mixed = torch.bmm(slopes.transpose(1, 2), weights).view(-1, 4, 3, points.shape[2])
    return unit((mixed[:, :3] * points.unsqueeze(2)).sum(1) + mixed[:, 3])


def unit(vectors: Tensor) -> Tensor:
    """[B, 3, N] vectors at length 1."""
    return vectors * (vectors.square().sum(1, keepdim=True) + 1e-12).rsqrt_()
