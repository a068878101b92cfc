"""How far a command is: a bar on stderr with the time left, or a line now and then where stderr is no terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from smoothswap.core.progress import counting


@contextlib.contextmanager
def bar(title: str, unit: str = "images") -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes how many are done and how many there are.

    Args:
        title: what is done.
        unit: what is counted, in the plural.
    """
    with counting(title, unit=unit) as count:
        yield count.update
