"""Which kernel serves an op: one question, `can_run`, decides the automatic and the explicit choice.

Backends, fastest first: "cuda" (CUDA C++), "triton", "cpu" (C++), "reference" (stock PyTorch, runs everywhere).
Each op's file attaches its kernels here; the op itself asks `choose` at every call, so that a choice holds for forward
and backward alike, in eager mode and inside compiled graphs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import BackendError
from smoothswap.ops import native, native_cuda, triton_runtime

BACKENDS = ("cuda", "triton", "cpu", "reference")
ENVIRONMENT = "SMOOTHSWAP_OPS"
_DEVICES = {"cuda": "cuda", "triton": "cuda", "cpu": "cpu"}

Run = Callable[..., Any]
_kernels: dict[tuple[str, str], tuple[Run, Callable[..., str | None]]] = {}
_limits: dict[tuple[str, str], str] = {}
_asked: str | None = None


def _no_objection(*tensors: Tensor | None, **options: Any) -> str | None:
    return None


def attach(
    op: str, backend: str, run: Run, objection: Callable[..., str | None] = _no_objection, limits: str = ""
) -> None:
    """Gives an op a kernel.

    Args:
        op: name of the op, as in `torch.ops.smoothswap`.
        backend: one of `BACKENDS`.
        run: called with the arguments of the op's schema.
        objection: called with the op's tensors and deciding options, as far as known; a reason why the kernel cannot
            take them, or None.
        limits: for the report: what of the op the kernel leaves to the next backend.
    """
    _kernels[op, backend] = (run, objection)
    _limits[op, backend] = limits


def kernel(op: str, backend: str) -> Run:
    """An op's kernel on one backend; raises KeyError where there is none."""
    return _kernels[op, backend][0]


def ops() -> list[str]:
    """Names of all ops that have a kernel."""
    return sorted({op for op, _ in _kernels})


def can_run(op: str, backend: str, *tensors: Tensor | None, **options: Any) -> str | None:
    """Says why a backend cannot run an op on these tensors.

    Args:
        op: name of the op, one of `ops()`.
        backend: one of `BACKENDS`.
        tensors: the op's tensor arguments, in order; None for those left out. Without tensors only what holds for
            all is asked.
        options: those of the op's other arguments that decide, by name, like act="tanh".

    Returns:
        The reason in words, or None where it can.
    """
    if (op, backend) not in _kernels:
        return f"{op} has no {backend} kernel"
    given = [t for t in tensors if t is not None]
    if backend != "reference":
        wanted = _device(backend)
        for tensor in given:
            if tensor.device.type != wanted:
                return f"the {backend} kernel takes {wanted} tensors, this one is on {tensor.device}"
        if wanted == "cuda" and not torch.cuda.is_available():
            return "this PyTorch sees no CUDA device"
    if backend == "cpu" and (reason := native.missing()):
        return reason
    if backend == "cuda" and (reason := native_cuda.missing()):
        return reason
    return _kernels[op, backend][1](*tensors, **options)


def _device(backend: str) -> str:
    return "cpu" if _on_cpu_tensors(backend) else _DEVICES[backend]


def _on_cpu_tensors(backend: str) -> bool:
    """Whether the kernels of a GPU are interpreted or emulated on CPU tensors, for tests."""
    if backend == "triton":
        return triton_runtime.interpreted()
    return backend == "cuda" and native_cuda.emulated()


def _automatic(backend: str) -> bool:
    """What is there for tests serves those alone who ask for it by name."""
    return not _on_cpu_tensors(backend)


def choose(op: str, *tensors: Tensor | None, **options: Any) -> Run:
    """The kernel that serves this call: the one asked for, else the fastest that can.

    Raises:
        BackendError: the one asked for by `use` or the environment cannot run.
    """
    asked = asked_for()
    if asked is not None:
        if reason := can_run(op, asked, *tensors, **options):
            raise BackendError(
                f"{op} cannot run on the {asked} backend",
                reason,
                f"asked for by {'smoothswap.ops.use' if _asked else ENVIRONMENT}",
                hint="Ask for another backend, or for none to let the library choose; `smoothswap doctor` lists them.",
            )
        return _kernels[op, asked][0]
    device = next((t.device.type for t in tensors if t is not None), None)
    for backend in BACKENDS:
        # Kernels for other devices are passed over without asking for the reason, which is slower to word than to see.
        if (op, backend) not in _kernels or (device and _DEVICES.get(backend, device) != device):
            continue
        if _automatic(backend) and can_run(op, backend, *tensors, **options) is None:
            return _kernels[op, backend][0]
    raise BackendError(f"{op} has no kernel that can run")


def asked_for() -> str | None:
    """The backend asked for by `use` or the environment variable SMOOTHSWAP_OPS; None: choose automatically."""
    name = _asked or os.environ.get(ENVIRONMENT, "auto")
    if name in ("", "auto"):
        return None
    _check_name(name, ENVIRONMENT)
    return name


def _check_name(name: str, where: str) -> None:
    if name not in (*BACKENDS, "auto"):
        raise BackendError(
            f"unknown backend {name!r} in {where}", hint=f"Choose one of {', '.join(BACKENDS)}, or auto."
        )


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Makes every op run on one backend while active, or raise BackendError with the reason where it cannot.

    It holds for the whole process, since PyTorch runs backward passes in threads of its own; it takes precedence over
    the environment variable SMOOTHSWAP_OPS.

    Args:
        backend: cuda, triton, cpu or reference; "auto" lets the library choose.
    """
    global _asked
    _check_name(backend, "smoothswap.ops.use")
    before, _asked = _asked, backend
    try:
        yield
    finally:
        _asked = before


@dataclass(frozen=True)
class Row:
    """One line of the report: which kernel serves an op on a device, and why no faster one does.

    Attributes:
        op: name of the op.
        device: "cpu" or "cuda".
        backend: the backend that serves it.
        why_not: for each faster backend of that device, the reason it does not.
        limits: what of the op that backend leaves to the next one; "" where nothing.
    """

    op: str
    device: str
    backend: str
    why_not: dict[str, str]
    limits: str = ""


def report() -> list[Row]:
    """For every op and device of this machine: the kernel that serves fp32 tensors and why not a faster one."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    rows = []
    for op in ops():
        for device in devices:
            why_not: dict[str, str] = {}
            for backend in BACKENDS:
                if _DEVICES.get(backend, device) != device or not _automatic(backend):
                    continue
                reason = can_run(op, backend)
                if reason is None:
                    rows.append(Row(op, device, backend, why_not, _limits[op, backend]))
                    break
                why_not[backend] = reason
    return rows
