"""Numbers of numpy, taken wherever Python's are."""

from __future__ import annotations

import sys
from typing import Any


def plain(value: Any) -> Any:
    """Python's own value for a scalar of numpy (np.int64, np.float32, np.bool_, an array [], …); else as it is."""
    numpy = sys.modules.get("numpy")  # where nobody has imported it, no value is numpy's
    if numpy is None or not isinstance(value, (numpy.generic, numpy.ndarray)) or value.ndim > 0:
        return value
    return value.item()
