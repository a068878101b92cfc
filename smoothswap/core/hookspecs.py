"""The one hook through which packages, ours included, declare their components."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from smoothswap.core.component import Component

PROJECT = "smoothswap"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def smoothswap_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Return the rows that this package adds to the catalogue.

    Called once, at the first `build` or `available`. Keep targets as strings, so that listing imports nothing heavy.
    """
