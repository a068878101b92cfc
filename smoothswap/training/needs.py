"""What a loss declares in its attribute `needs`, for both trainings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smoothswap.core.errors import PluginError
from smoothswap.core.names import did_you_mean


def declared_needs(loss: Any, title: str, known: Iterable[str]) -> frozenset[str]:
    """Read the needs of a loss: a name or several; none where it declares nothing.

    Args:
        loss: a loss, or its class.
        title: what an error calls it.
        known: the needs that there are.

    Raises:
        PluginError: it declares another.
    """
    declared = getattr(loss, "needs", ())
    needs = frozenset((declared,) if isinstance(declared, str) else declared)
    names = list(known)
    for need in sorted(needs - set(names)):
        raise PluginError(
            f"the loss {title} declares the need {need!r}{did_you_mean(need, names)}", f"needs: {', '.join(names)}"
        )
    return needs
