"""The turn, scale and shift that bring one set of points to another, with points as complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Complex = npt.NDArray[np.complex128]


def fit_similarity(places: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> tuple[Any, Any]:
    """The similarity z → turn·z + shift that brings places nearest to the wanted ones.

    Least squares (Umeyama, 1991). Places that coincide have no such similarity: their turn is 0 or not finite.

    Args:
        places: [..., N, 2] x, y.
        wanted: [..., N, 2].

    Returns:
        turn and shift, complex [...].
    """
    own, other = as_complex(places), as_complex(wanted)
    spread = own - own.mean(-1, keepdims=True)
    from_middle = other - other.mean(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = (spread.conj() * from_middle).sum(-1) / (np.abs(spread) ** 2).sum(-1)
    return turn, other.mean(-1) - turn * own.mean(-1)


def as_complex(points: npt.NDArray[np.float64]) -> Complex:
    """x, y [..., 2] as x + iy [...]."""
    z: Complex = points @ np.array([1, 1j])
    return z


def as_points(z: Complex) -> npt.NDArray[np.float64]:
    """Complex numbers [...], x and y in one, as x, y [..., 2]."""
    return np.stack([z.real, z.imag], axis=-1)
