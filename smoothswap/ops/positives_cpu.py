"""Sums over the positives of each vector in C++ on the CPU (csrc/cpu/positives_kernel.cpp)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import arithmetic
from smoothswap.ops.positives import transposed


def _runs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors in the order of their labels [N], and where the runs of equal ones begin and end."""
    ordered, members = labels.sort(stable=True)
    lengths = torch.unique_consecutive(ordered, return_counts=True)[1]
    return F.pad(lengths.cumsum(0), (1, 0)), members


def run_dots(z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None) -> tuple[Tensor, Tensor]:
    """The arguments of `positive_dots`; z [N, D]."""
    result = torch.empty(z.shape[0], dtype=arithmetic(z.dtype))
    if labels is not None:
        starts, members = _runs(labels)
        torch.ops.smoothswap_native.same_label_dots(z.contiguous(), starts, members, result)
        lengths = starts.diff()
        count = torch.empty_like(members)
        count[members] = lengths.repeat_interleave(lengths, output_size=len(members)) - 1
        return result, count.to(result.dtype)
    if offsets is None or indices is None:
        raise TypeError("neither labels nor lists of positives are given")
    torch.ops.smoothswap_native.listed_dots(z.contiguous(), offsets.contiguous(), indices.contiguous(), result)
    return result, offsets.diff().to(result.dtype)


def run_pull(a: Tensor, z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None) -> Tensor:
    """The arguments of `positive_pull`; a [N], z [N, D]."""
    result = torch.empty(z.shape, dtype=a.dtype)
    a, z = a.contiguous(), z.contiguous()
    if labels is not None:
        torch.ops.smoothswap_native.same_label_pull(a, z, *_runs(labels), result)
    elif offsets is not None and indices is not None:
        back = transposed(offsets, indices)
        torch.ops.smoothswap_native.listed_pull(a, z, offsets.contiguous(), indices.contiguous(), *back, result)
    else:
        raise TypeError("neither labels nor lists of positives are given")
    return result


def _objection(*tensors: Tensor | None) -> str | None:
    a, z = tensors[:2] if len(tensors) > 1 else (None, None)
    if a is None or z is None or a.dtype == arithmetic(z.dtype):
        return None
    return f"the cpu kernel takes factors in {arithmetic(z.dtype)} for vectors of {z.dtype}"


backend.attach("positive_dots", "cpu", run_dots)
backend.attach("positive_pull", "cpu", run_pull, _objection)
