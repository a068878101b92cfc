"""Numbers of numpy, taken wherever Python's are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def plain(value: Any) -> Any:
    """Python's own value for a scalar of numpy (np.int64, np.float32, np.bool_, an array [], …); else as it is."""
    numpy = sys.modules.get("numpy")  # where nobody has imported it, no value is numpy's
    if numpy is None or not isinstance(value, (numpy.generic, numpy.ndarray)) or value.ndim > 0:
        return value
    return value.item()


def takes_numpy_scalars(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that it finds Python's own values where its caller gave scalars of numpy."""

    @functools.wraps(function)
    def wrapped(*values: P.args, **options: P.kwargs) -> R:
        return function(*map(plain, values), **{name: plain(value) for name, value in options.items()})

    return wrapped
