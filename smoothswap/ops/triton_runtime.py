"""What Triton kernels need before they can run: Triton itself, a compiler for its launcher, a device that fits.

Triton compiles a kernel for the device the first time it is launched, into its own cache; nothing happens at import or
installation, and Triton is imported only when a kernel is first asked about for CUDA tensors.
Under TRITON_INTERPRET=1 its kernels run, slowly, on CPU tensors: a way to test them where there is no GPU.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

OLDEST = (3, 6)  # the Triton of PyTorch 2.10; earlier ones are not tested


@functools.cache
def interpreted() -> bool:
    """Whether kernels are interpreted on the CPU; Triton reads this once, as it decorates them."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")


@functools.cache
def missing() -> str | None:
    """Imports Triton once; says what is missing to run its kernels, or None."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install triton, on Linux)"
    try:
        import triton
    except ImportError as error:
        return f"Triton does not import: {error}"
    version = tuple(int(part) for part in triton.__version__.split(".")[:2])
    if version < OLDEST:
        return f"Triton is {triton.__version__}, the kernels need {'.'.join(map(str, OLDEST))} or later"
    return None if interpreted() else _launcher_missing()


def _launcher_missing() -> str | None:
    """Triton binds kernels to Python with a small C module, for which it needs a compiler and Python's headers."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or shutil.which(compiler) is None:
        return "Triton needs a C compiler at run time to launch kernels: install gcc or clang, or set CC"
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    headers = Path(sysconfig.get_paths(scheme=scheme)["include"])
    if not (headers / "Python.h").exists():
        return f"Triton needs Python's C headers to launch kernels; there is no Python.h in {headers}"
    return None


@functools.cache
def _capability(device: int) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def device_objection(*tensors: Tensor | None) -> str | None:
    """Why no Triton kernel can take these tensors (none: what holds for all), or None."""
    if reason := missing():
        return reason
    if interpreted():
        return None
    if torch.version.hip is not None:
        return "the triton kernels are written for NVIDIA devices"
    given = [tensor for tensor in tensors if tensor is not None]
    device = given[0].device.index if given else None
    capability = _capability(torch.cuda.current_device() if device is None else device)
    low = any(tensor.dtype == torch.bfloat16 for tensor in given)
    needed = (8, 0) if low else (7, 5)
    if capability < needed:
        return (
            f"{'bf16' if low else 'Triton'} needs compute capability {needed[0]}.{needed[1]}, "
            f"this device has {capability[0]}.{capability[1]}"
        )
    return None


def widened(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Keeps bf16 from the interpreter, which truncates it and multiplies its bits: tensors go in and come out as fp32.

    That is what the kernels do themselves: fp32 inside, rounded once at the end.
    """

    @functools.wraps(run)
    def wide(*arguments: Any) -> Tensor:
        low = any(isinstance(a, Tensor) and a.dtype == torch.bfloat16 for a in arguments)
        if not low or not interpreted():
            return run(*arguments)
        wide = [a.float() if isinstance(a, Tensor) and a.dtype == torch.bfloat16 else a for a in arguments]
        return run(*wide).bfloat16()

    return wide


def on_device(x: Tensor) -> AbstractContextManager[object]:
    """Makes x's device current, as launches go to the current one."""
    if x.device.type == "cpu" or x.device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(x.device)


def far(*tensors: Tensor) -> bool:
    """Whether an element of these tensors lies 2³¹ or more elements from its start, so that offsets need int64."""
    return any(
        sum((size - 1) * stride for size, stride in zip(t.shape, t.stride(), strict=True)) >= 2**31 - 2**16
        for t in tensors
    )


def power_of_two(n: int) -> int:
    """The least power of two that is at least n ≥ 1."""
    return 1 << (n - 1).bit_length()
