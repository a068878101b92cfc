"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, quote: bool = True) -> str:
    """The text `. Did you mean 'smooth_unet'?` for the nearest known name, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if not near:
        return ""
    return f". Did you mean {near[0]!r}?" if quote else f". Did you mean {near[0]}?"
