"""Taps of a filter that lives on a GPU, known on the host without waiting for the GPU at every call.

Kernels whose taps are parameters need their values when they are launched. Reading a filter makes the host wait for the
GPU, so each filter is read once and remembered while its memory lives and PyTorch counts no change of it. (What PyTorch
does not count, such as writing through `filter.data`, is not seen: filters are constants.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

Values = tuple[tuple[float, ...], ...]
# The weak reference keeps the key from being given to another storage.
_known: dict[tuple[object, ...], tuple[StorageWeakRef, Values]] = {}
_MOST = 256


def host_taps(f: Tensor) -> Values | None:
    """Values of a filter [Kh, Kw], or [K] as one row.

    Returns:
        The taps, or None where they cannot be had: while the stream is captured into a CUDA graph, and for inference
        tensors, whose changes PyTorch does not count.
    """
    if f.device.type == "cpu":
        return _read(f)
    if f.is_inference():
        return None
    storage = f.untyped_storage()
    key = (storage._cdata, f.storage_offset(), f.shape, f.stride(), f.dtype, f._version)
    if key in _known:
        return _known[key][1]
    if torch.cuda.is_current_stream_capturing():
        return None
    values = _read(f)
    if len(_known) >= _MOST:
        _forget()
    _known[key] = (StorageWeakRef(storage), values)  # type: ignore[no-untyped-call]
    return values


def _read(f: Tensor) -> Values:
    rows = f.detach().to("cpu", torch.float64)
    return tuple(tuple(row) for row in (rows if rows.ndim == 2 else rows[None]).tolist())


def _forget() -> None:
    """Drops the filters that are gone; all of them where none is."""
    gone = [key for key, (storage, _) in _known.items() if storage.expired()]  # type: ignore[no-untyped-call]
    for key in gone or list(_known):
        del _known[key]


def factors(taps: Values, tolerance: float) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The column h and the row w with taps = h ⊗ w, or None where there are none.

    Args:
        taps: [Kh, Kw].
        tolerance: largest error of a tap, as a part of the largest tap.
    """
    size, row, column = max((abs(v), i, j) for i, line in enumerate(taps) for j, v in enumerate(line))
    if size == 0:
        return None
    h = tuple(line[column] for line in taps)
    w = tuple(v / taps[row][column] for v in taps[row])
    close = all(
        abs(v - a * b) <= tolerance * size
        for line, a in zip(taps, h, strict=True)
        for v, b in zip(line, w, strict=True)
    )
    return (h, w) if close else None
