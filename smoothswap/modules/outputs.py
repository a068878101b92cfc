"""Checks of what a component gave, so that a wrong shape is reported with the component's name.

B: images, D: length of an identity vector, S: side in pixels.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from smoothswap.core.errors import ArgumentError


def check_vectors(vectors: Any, images: Tensor, embedder: Any) -> Tensor:
    """Give back what an embedder made of images [B, 3, S, S], if that is [B, D] of its own `dim`.

    Raises:
        ArgumentError: another shape, or no tensor; the message names the embedder.
    """
    dim = getattr(embedder, "dim", None)
    known = isinstance(dim, int)
    return _checked(vectors, (len(images), dim if known else None), "embedder", embedder, "[B, D]")


def check_swapped(swapped: Any, target: Tensor, generator: Any) -> Tensor:
    """Give back what a generator made of targets [B, 3, S, S], if it has the same shape. Errors as `check_vectors`."""
    return _checked(swapped, tuple(target.shape), "generator", generator, "[B, 3, S, S], as its targets")


def check_logits(logits: Any, images: Tensor, discriminator: Any) -> Tensor:
    """Give back a discriminator's logits of images [B, 3, S, S], if they are [B, 1]. Errors as `check_vectors`."""
    return _checked(logits, (len(images), 1), "discriminator", discriminator, "[B, 1]")


def _checked(output: Any, expected: tuple[int | None, ...], kind: str, component: Any, form: str) -> Tensor:
    if isinstance(output, Tensor):
        found: Any = list(output.shape)
        if len(found) == len(expected) and all(b in (None, a) for a, b in zip(found, expected, strict=True)):
            return output
    else:
        found = f"a {type(output).__name__}"
    row = getattr(component, "smoothswap_component", None)
    name = type(component).__name__ if row is None else row.name
    numbers = ", ".join("any length" if number is None else str(number) for number in expected)
    declared = f"; it declares dim = {component.dim}" if kind == "embedder" and hasattr(component, "dim") else ""
    cls = f"{type(component).__module__}.{type(component).__qualname__}"
    raise ArgumentError(
        f"the {kind} {name!r} gave {found}, expected [{numbers}]",
        f"expected of every {kind}: {form}" + declared,
        f"class {cls}" + (f", from {row.provider}" if row else ""),
        hint=f"this has to be put right in the {kind}",
    )
