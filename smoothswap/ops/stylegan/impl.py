"""The argument `impl` of StyleGAN's ops: which code serves a call."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from smoothswap.core.errors import ArgumentError
from smoothswap.ops.backend import use


def chosen(op: str, impl: str) -> AbstractContextManager[None]:
    """StyleGAN's default "cuda" lets the library choose, on any device; "ref" asks for the reference.

    The backward pass is chosen for when it runs, outside of this call.

    Raises:
        ArgumentError: `impl` is neither.
    """
    if impl not in ("cuda", "ref"):
        raise ArgumentError(f"{op}: impl is {impl!r}, expected 'cuda' or 'ref'")
    return nullcontext() if impl == "cuda" else use("reference")
