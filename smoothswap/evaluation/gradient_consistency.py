"""Whether an embedder's gradients lead a picture straight from one person to another."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation.smoothness import STEPS, slerp
from smoothswap.modules import cosines
from smoothswap.modules.face_input import to_face_input


def gradient_consistency(
    embedder: nn.Module, images: Tensor, wanted: Tensor, steps: tuple[float, ...] = STEPS, stride: float = 0.001
) -> Tensor:
    """Lead pictures along the way to another identity, and compare each step's gradient with the one before.

    At step r the gradient g_r of 1 − cos(f(x), z_r) is taken with respect to the picture x, z_r on the great circle
    from the picture's own identity to the wanted one; then x moves against it by `stride` (root mean square over the
    pixels). The figure of a pair is the mean of cos(g_r, g_{r+1}). It is 1 where every step goes on in the same
    direction, so that an identity loss pulls a generator one way from beginning to end, and near 0 where each small
    change of the picture turns the gradient anew. At a picture that stood still it would say nothing: there all z_r
    ask for the same direction.

    It depends on stride and resolution: compare embedders of one input size only. A stride so long that it oversteps
    z_r turns the gradients about, and the figure below 0: to embedders of photographs 0.003 already does.

    Args:
        embedder: with `expects`; in eval mode.
        images: [M, 3, S, S] FFHQ crops, RGB in [-1, 1].
        wanted: [M, D] identity vectors.
        steps: R ≥ 2 shares of the way.
        stride: of each step, in units of the picture's values.

    Returns:
        [M] mean cosine of neighbouring gradients, -1 … 1, in double precision.

    Raises:
        ArgumentError: shapes that do not go together, fewer than two steps, or a stride that is not positive.
    """
    if images.ndim != 4 or wanted.ndim != 2 or len(images) != len(wanted):
        raise ArgumentError(
            "a picture is led to one identity each",
            f"images: {list(images.shape)}, wanted: {list(wanted.shape)}",
        )
    if len(steps) < 2 or not stride > 0:
        raise ArgumentError(f"needs two steps and a positive stride, got {len(steps)} and {stride}")
    expects = cast(Any, embedder).expects

    def identities(pictures: Tensor) -> Tensor:
        return cast(Tensor, embedder(to_face_input(pictures, expects)))

    with torch.no_grad():
        start = identities(images)
    ways = slerp(start, wanted, steps).to(start)  # [M, R, D]
    faces, before, found = images.detach().clone(), None, []
    for r in range(len(steps)):
        faces.requires_grad_()
        with torch.enable_grad():
            likeness = torch.nn.functional.cosine_similarity(identities(faces), ways[:, r])
            (gradient,) = torch.autograd.grad((1 - likeness).sum(), faces)
        ahead = cosines.unit_vectors(gradient.flatten(1))
        if before is not None:
            found.append(cosines.sum_in_order(ahead * before))
        before = ahead
        rms = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
        faces = (faces - stride * gradient / rms).detach()
    return torch.stack(found).mean(0)
