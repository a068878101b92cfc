"""The compiled kernels: one shared library beside this file, loaded the first time an op is used.

The library is built by `pip install --no-build-isolation .` where a C++ compiler, CMake and PyTorch are found; it
registers its kernels in `torch.ops.smoothswap_native`. Nothing is compiled or loaded at import.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

import torch

LIBRARY = Path(__file__).with_name("_native.so")


@functools.cache
def missing() -> str | None:
    """Loads the library once; says why it is not there, or None where it is."""
    if not LIBRARY.exists():
        tools = {"a C++ compiler": ("c++", "g++", "clang++"), "cmake": ("cmake",), "ninja": ("ninja",)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        lack = [tool for tool, names in tools.items() if not any(shutil.which(name, path=path) for name in names)]
        needs = f"; missing here: {', '.join(lack)}" if lack else ""
        return f"the compiled kernels are not built (pip install --no-build-isolation . builds them{needs})"
    try:
        torch.ops.load_library(LIBRARY)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        return f"the compiled kernels do not load: {error}"
    return None
