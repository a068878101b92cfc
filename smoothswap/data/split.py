"""Which names are held out: decided by their hash, so that it stays when others come or go."""

from __future__ import annotations

import hashlib


def held_out(name: str, share: float) -> bool:
    """Whether a name belongs to the held-out part.

    Args:
        name: file name without suffix, or a person's name.
        share: part of all names that is held out, 0 … 1.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


def in_split(name: str, split: str, share: float) -> bool:
    """Whether a name belongs to `train`, `held_out` or `all`."""
    return split == "all" or held_out(name, share) == (split == "held_out")
