"""The compiled CUDA kernels: a shared library of its own beside this file, loaded when one is first asked about.

`pip install .` builds it where nvcc is found too; the PyTorch there may be one for the CPU. It
registers its kernels in `torch.ops.smoothswap_native_cuda`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LIBRARY = Path(__file__).with_name("_native_cuda.so")
# A library of the same kernels compiled as C++, which takes CPU tensors; only the tests make one.
EMULATION = "SMOOTHSWAP_CUDA_EMULATION"


def emulated() -> bool:
    """Whether the kernels run on CPU tensors, emulated, for a test that asks for them by name."""
    return EMULATION in os.environ


def missing() -> str | None:
    """Loads the library once; says why it is not there or cannot run here, or None where it can."""
    return _load(os.environ.get(EMULATION))


@functools.cache
def _load(emulation: str | None) -> str | None:
    library = LIBRARY if emulation is None else Path(emulation)
    if not library.exists():
        lack = "" if shutil.which("nvcc") else "; missing here: nvcc"
        return f"the CUDA kernels are not built (`pip install .` of the source builds them where nvcc is{lack})"
    try:
        if emulation is None and (reason := _driver(ctypes.CDLL(str(library)))):
            return reason
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        return f"the CUDA kernels do not load: {error}"
    return None


def _driver(library: ctypes.CDLL) -> str | None:
    """What the driver lacks: any minor version of the CUDA that the kernels were built with will do."""
    needed, offered = library.smoothswap_cuda_needed(), library.smoothswap_cuda_offered()
    if offered == 0:
        return "no CUDA driver is installed"
    if offered // 1000 < needed // 1000:
        return f"the driver offers CUDA {_dotted(offered)}, the CUDA kernels are built for {_dotted(needed)}"
    return None


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def build() -> str | None:
    """Which CUDA and which architectures the library was built for; None where there is none."""
    if not LIBRARY.exists():
        return None
    about = ctypes.CDLL(str(LIBRARY)).smoothswap_cuda_build
    about.restype = ctypes.c_char_p
    return str(about().decode())


def device_objection(*tensors: Tensor | None) -> str | None:
    """Why the device of these tensors cannot run the kernels, or None."""
    if emulated():
        return None
    if torch.version.hip is not None:
        return "the CUDA kernels are for NVIDIA's GPUs"
    for tensor in tensors:
        if tensor is not None:
            return _capability(tensor.device.index)
    return _capability(torch.cuda.current_device())


@functools.cache
def _capability(device: int) -> str | None:
    major, minor = torch.cuda.get_device_capability(device)
    return None if major >= 8 else f"the CUDA kernels need compute capability 8.0, this device has {major}.{minor}"


def ops() -> Any:
    """The namespace of the kernels, after `missing` said None."""
    return torch.ops.smoothswap_native_cuda_emulated if emulated() else torch.ops.smoothswap_native_cuda
