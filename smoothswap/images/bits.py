"""Values of 8 and of 16 bits, one as the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def to_bits(values: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Unsigned values of 8 or 16 bits as 8 or 16 bits, rounded to nearest, so that white stays white."""
    if 8 * values.dtype.itemsize == bits:
        return values
    if bits == 8:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return values.astype(np.uint16) * np.uint16(257)
