"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str], *, quote: bool = True) -> str:
    """The text `. Did you mean 'smooth_unet'?` for the nearest known name; nothing where none is near."""
    near = difflib.get_close_matches(name if isinstance(name, str) else "", list(known), n=1, cutoff=0.6)
    if not near:
        return ""
    return f". Did you mean {near[0]!r}?" if quote else f". Did you mean {near[0]}?"
