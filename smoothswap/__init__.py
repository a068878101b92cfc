"""smoothswap: smooth identity face swapping in PyTorch.

Everything public hangs on this name and is imported on first use, so that `import smoothswap` loads no torch:

>>> import smoothswap
>>> "smooth_unet" in [row.name for row in smoothswap.available("generator")]
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from smoothswap import ops
    from smoothswap.api import (
        available,
        build,
        describe,
        embed,
        evaluate,
        load,
        load_plugins,
        register,
        save,
        swap,
        verify,
    )  # fmt: skip
    from smoothswap.conversion import convert
    from smoothswap.core.errors import SmoothSwapError
    from smoothswap.core.plugins import hookimpl

_WHERE = {
    "available": "smoothswap.api",
    "build": "smoothswap.api",
    "convert": "smoothswap.conversion",
    "describe": "smoothswap.api",
    "embed": "smoothswap.api",
    "evaluate": "smoothswap.api",
    "verify": "smoothswap.api",
    "load": "smoothswap.api",
    "load_plugins": "smoothswap.api",
    "register": "smoothswap.api",
    "save": "smoothswap.api",
    "swap": "smoothswap.api",
    "hookimpl": "smoothswap.core.plugins",
    "SmoothSwapError": "smoothswap.core.errors",
}

__all__ = [
    "build", "available", "describe", "register", "load_plugins", "save", "load", "convert", "swap", "embed",
    "verify", "evaluate", "ops", "hookimpl", "SmoothSwapError", "__version__",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "ops":
        return importlib.import_module("smoothswap.ops")
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'smoothswap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
