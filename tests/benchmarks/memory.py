"""Peak memory of a call, above what was there before it."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Bytes at the highest point of a call, less those before it; what the call returns counts.

    CPU: resident memory, by the kernel's own high-water mark; where the kernel does not let a process reset it, by a
    thread that looks every half millisecond. Free memory that the allocator kept goes back first, or it would hide
    as much of what the call needs. CUDA: what PyTorch's allocator gave out.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = call()
        torch.cuda.synchronize()
        del kept
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return _sampled(call)
    before = _resident("VmRSS")
    kept = call()
    peak = _resident("VmHWM") - before
    del kept
    return peak


def _resident(field: str) -> int:
    """VmRSS: bytes now; VmHWM: the most since the mark was reset."""
    found = re.search(rf"{field}:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
    assert found is not None, f"no {field} in {_STATUS}"
    return int(found[1]) * 1024


def _sampled(call: Callable[[], object]) -> int:
    before = peak = _resident("VmRSS")
    done = threading.Event()

    def look() -> None:
        nonlocal peak
        while not done.wait(0.0005):
            peak = max(peak, _resident("VmRSS"))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        kept = call()
        peak = max(peak, _resident("VmRSS"))
    finally:
        done.set()
        watching.join()
    del kept
    return peak - before
