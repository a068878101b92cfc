"""How far a result is from the exact one, in measures that hold on every processor."""

from __future__ import annotations

from torch import Tensor


def rms_error(y: Tensor, exact: Tensor) -> float:
    """Root mean square of y − exact, of equal shapes.

    Two roundings of one formula are compared by this and not by their largest errors: the largest is one value's luck,
    and the order in which a processor sums decides which value's.
    """
    return float((y.double() - exact.double()).square().mean().sqrt())
