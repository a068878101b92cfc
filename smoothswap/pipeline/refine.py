"""Finding the identity vector that makes a generator draw who is required.

A generator never draws quite the person whose vector it was given: less so, the fewer people it learned from. But it
is smooth in that vector, and so is the embedder in the picture. So a few steps of gradient ascent find the vector that
gives the likeness, while everything that is drawn remains what the generator draws.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError
from smoothswap.core.face_crop import declared_face_crop
from smoothswap.modules.face_input import to_face_input, window_within
from smoothswap.modules.outputs import check_swapped, check_vectors
from smoothswap.pipeline.embedding import declared_input

STEPS = 8
"""Steps where nobody says how many. More bring little: a cosine of 0.71 after eight, 0.69 after four."""

STEP = 0.2
"""Length of a step on the unit sphere of identities, about as many radians."""


def default_steps(generator: nn.Module, embedder: nn.Module) -> int:
    """`STEPS`, or 0 where the generator's crop does not hold what the embedder looks at, or that gives no gradients."""
    expects = declared_input(embedder)
    like = next(embedder.parameters(), torch.empty(0, dtype=torch.float32))
    grey = torch.full((1, 3, expects.size, expects.size), sum(expects.value_range) / 2).to(like)
    try:
        window_within(declared_face_crop(generator), expects)
        with torch.enable_grad():
            seen = embedder(grey.requires_grad_()).sum()
            reached = seen.requires_grad and torch.autograd.grad(seen, grey, allow_unused=True)[0] is not None
    except ArgumentError:
        return 0
    return STEPS if reached else 0


def refined_swap(
    generator: nn.Module, embedder: nn.Module, target: Tensor, identity: Tensor, *, steps: int, stop_similarity: float
) -> Tensor:
    """Swap faces, with the identity vector of each led to where the swap is most like the source.

        v ← unit(v + 0.2 · unit(∂ cos(f(G(x, v)), z) / ∂v)),   starting from v = z

    Each face has a vector of its own, and keeps the swap that was most alike of all that were tried. One that has
    reached `stop_similarity` is left as it is.

    Args:
        generator: G, in evaluation mode.
        embedder: f, frozen; the gradient passes through it.
        target: x, crops [B, 3, S, S] in [-1, 1] as the generator declares them.
        identity: z, unit vectors [B, D].
        steps: passes of the gradient; 0 is the generator alone.
        stop_similarity: cosine from which on two pictures count as one person's.

    Returns:
        [B, 3, S, S], around [-1, 1].

    Raises:
        ArgumentError: a generator that gives another shape, or an embedder that gives no gradients.
    """
    if steps == 0 or not len(target):
        with torch.no_grad():
            return check_swapped(generator(target, identity), target, generator)
    expects, crop = declared_input(embedder), declared_face_crop(generator)
    like = next(embedder.parameters(), identity)
    vector, found, best = identity, None, identity.new_full((len(identity),), -torch.inf)
    for step in range(steps + 1):
        last = step == steps
        with torch.set_grad_enabled(not last):
            vector = vector.detach().requires_grad_(not last)
            swapped = check_swapped(generator(target, vector), target, generator)
            seen: Any = to_face_input(swapped.clamp(-1, 1), expects, crop)
            vectors = check_vectors(embedder(seen.to(like)), seen, embedder).to(identity)
            cosines = F.cosine_similarity(vectors, identity, dim=1)
        better = cosines.detach() > best
        found = swapped.detach() if found is None else torch.where(better[:, None, None, None], swapped.detach(), found)
        best = torch.where(better, cosines.detach(), best)
        if last or not swapped.requires_grad or bool((best >= stop_similarity).all()):
            break  # without a gradient the generator does not look at the vector
        gradient = _gradient(cosines, vector)
        moved = F.normalize(vector.detach() + STEP * F.normalize(gradient, dim=1), dim=1)
        vector = torch.where((best < stop_similarity)[:, None], moved, vector.detach())
    return found  # type: ignore[return-value]


def _gradient(cosines: Tensor, vector: Tensor) -> Tensor:
    if not cosines.requires_grad:
        raise ArgumentError(
            "the embedder gives no gradients, so identities cannot be refined", hint="give refine=0 (--refine 0)"
        )
    (gradient,) = torch.autograd.grad(cosines, vector, torch.ones_like(cosines))
    return gradient
