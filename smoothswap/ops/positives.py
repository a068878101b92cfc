"""Sums over the positives of each vector: those of the same label, or those that a list names.

With A_ip = 1 where p is in P(i), the positives of i, else 0, the ops of this file are v → A v, in two forms of A, and

    pull(a, z)_i = a_i (A z)_i + (Aᵀ (a z))_i,

the gradient by z of Σ_i a_i z_i·(A z)_i. A v is never more than a walk over the rows: a class sum less v itself for
labels, a sum over a CSR list else. Sums are taken over runs, in a fixed order on every device, unlike index_add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import backend
from smoothswap.ops.define import define
from smoothswap.ops.layout import arithmetic, without_autocast
from smoothswap.ops.transforms import linear, make_dual, split

_HELD = 1 << 20  # values gathered at a time: 4 MiB of fp32

Sum = Callable[[Tensor], Tensor]


def same_label(labels: Tensor) -> tuple[Sum, Tensor]:
    """The sum over j ≠ i of the same label, a function of v [N, C], and the number [N] of such j; labels [N]."""
    _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    order, others = inverse.argsort(stable=True), counts[inverse] - 1
    alone = (others == 0)[:, None]

    def total(v: Tensor) -> Tensor:
        if v.shape[0] == 0:
            return v.clone()
        # An anchor alone gets an exact zero, not the rounding error of v − v.
        return _runs(v[order], counts)[inverse].sub_(v).masked_fill_(alone, 0)

    return total, others


def listed(offsets: Tensor, indices: Tensor) -> tuple[Sum, Tensor]:
    """The sum of v[indices[offsets[i]:offsets[i + 1]]], a function of v [N, C], and the lengths [N] of the lists."""
    _refuse_what_would_read_elsewhere(offsets, indices)
    lengths = offsets.diff()

    def total(v: Tensor) -> Tensor:
        if v.shape[0] == 0 or indices.shape[0] == 0:
            return torch.zeros_like(v)
        return _runs(v[indices], lengths)

    return total, lengths


def _refuse_what_would_read_elsewhere(offsets: Tensor, indices: Tensor) -> None:
    """Lists [N + 1], [nnz] that come from a compiled graph have been checked by nobody; on a GPU a check would wait."""
    if offsets.device.type != "cpu":
        return
    n, nnz = offsets.shape[0] - 1, indices.shape[0]
    within = n >= 0 and int(offsets[0]) == 0 and int(offsets[-1]) == nnz and bool((offsets.diff() >= 0).all())
    if nnz > 0:
        within = within and int(indices.min()) >= 0 and int(indices.max()) < n
    if not within:
        raise ArgumentError(
            "supcon_loss: the lists of positives do not name vectors that are there",
            f"{n} lists, {nnz} indices",
            hint="Call supcon_loss outside of torch.compile once: it says what is wrong with them.",
        )


def transposed(offsets: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The lists [N + 1], [nnz] of those that name j, for every j."""
    _refuse_what_would_read_elsewhere(offsets, indices)
    rows = torch.arange(offsets.shape[0], device=offsets.device)
    named, order = indices.sort(stable=True)
    owners = rows[:-1].repeat_interleave(offsets.diff(), output_size=indices.shape[0])
    return torch.searchsorted(named, rows), owners[order]


def _runs(v: Tensor, lengths: Tensor) -> Tensor:
    """Sums of consecutive rows of v [M, C], by runs of the given lengths."""
    return torch.segment_reduce(v, "sum", lengths=lengths, unsafe=True)


def positives_of(labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None) -> tuple[Sum, Sum, Tensor]:
    """The functions v → A v and v → Aᵀ v, and |P(i)| [N]; either labels [N] or offsets [N + 1] and indices [nnz]."""
    if labels is not None:
        total, count = same_label(labels)
        return total, total, count
    if offsets is None or indices is None:
        raise ArgumentError("neither labels nor lists of positives are given")
    total, count = listed(offsets, indices)
    return total, listed(*transposed(offsets, indices))[0], count


def columns(rows: int, width: int) -> Iterator[slice]:
    """Slices of `width` columns whose values over so many rows are few enough to be held."""
    step = max(1, min(width, _HELD // max(rows, 1)))
    for start in range(0, width, step):
        yield slice(start, min(start + step, width))


def _chosen(op: str, *tensors: Tensor | None) -> Callable[..., Any]:
    """The C++ kernel where it can serve, else stock PyTorch.

    Not `backend.choose`: whoever asks for a backend of supcon_loss asks for that of lse, and sums have two alone.
    """
    serves = backend.asked_for() in (None, "cpu") and backend.can_run(op, "cpu", *tensors) is None
    return backend.kernel(op, "cpu" if serves else "reference")


def positive_dots(
    z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Σ_{p ∈ P(i)} z_i·z_p [N] and |P(i)| [N], both in the arithmetic's dtype; z [N, D]. It has no gradient."""
    tensors = (z, labels, offsets, indices)
    return _chosen("positive_dots", None, *tensors)(*tensors)  # type: ignore[no-any-return]


def _run_pull(a: Tensor, z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None) -> Tensor:
    tensors = (a, z, labels, offsets, indices)
    return _chosen("positive_pull", *tensors)(*tensors)  # type: ignore[no-any-return]


def dots_reference(
    z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Σ_{p ∈ P(i)} z_i·z_p [N] and |P(i)| [N], both in the arithmetic's dtype; z [N, D]."""
    wide = arithmetic(z.dtype)
    total, _, count = positives_of(labels, offsets, indices)
    result = z.new_zeros(z.shape[0], dtype=wide)
    for part in columns(_gathered(z, indices), z.shape[1]):
        v = z[:, part].to(wide)
        result += (total(v) * v).sum(1)
    return result, count.to(wide)


def _gathered(z: Tensor, indices: Tensor | None) -> int:
    return z.shape[0] if indices is None else max(z.shape[0], indices.shape[0])


def same_label_sum_reference(v: Tensor, labels: Tensor) -> Tensor:
    """(A v)_i = Σ over j ≠ i of the same label; v [N, D], labels [N] → [N, D]."""
    return same_label(labels)[0](v)


def listed_sum_reference(v: Tensor, offsets: Tensor, indices: Tensor) -> Tensor:
    """(A v)_i = Σ of v[indices[offsets[i]:offsets[i + 1]]]; v [N, D], offsets [N + 1], indices [nnz] → [N, D]."""
    return listed(offsets, indices)[0](v)


def pull_reference(
    a: Tensor, z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None
) -> Tensor:
    """a_i (A z)_i + (Aᵀ (a z))_i [N, D] in a's dtype, for a [N] and z [N, D], some columns at a time."""
    total, back, _ = positives_of(labels, offsets, indices)
    result = z.new_empty(z.shape, dtype=a.dtype)
    with without_autocast(z):
        for part in columns(_gathered(z, indices), z.shape[1]):
            v = z[:, part].to(a.dtype)
            result[:, part] = (total(v) * a[:, None]).add_(back(v * a[:, None]))
    return result


def positive_sum(v: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None) -> Tensor:
    """A v [N, D] for v [N, D], by the op that has gradients."""
    if labels is not None:
        return torch.ops.smoothswap.same_label_sum(v, labels)  # type: ignore[no-any-return]
    return torch.ops.smoothswap.listed_sum(v, offsets, indices)  # type: ignore[no-any-return]


def _fake(v: Tensor, *_: Tensor) -> Tensor:
    return v.new_empty(v.shape)


def _setup_same(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _backward_same(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.smoothswap.same_label_sum(g, *ctx.saved_tensors), None


def _setup_listed(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _backward_listed(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.smoothswap.listed_sum(g, *transposed(*ctx.saved_tensors)), None, None


def _fake_pull(a: Tensor, z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None) -> Tensor:
    return z.new_empty(z.shape, dtype=a.dtype)


def _setup_pull(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward_pull(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
    """⟨h, pull(a, z)⟩ = Σ_i a_i (h_i·(A z)_i + z_i·(A h)_i), and the op is symmetric in h and z."""
    a, z, *positives = ctx.saved_tensors
    wide = z.to(a.dtype)
    da = (h * positive_sum(wide, *positives) + wide * positive_sum(h, *positives)).sum(1)
    return da, torch.ops.smoothswap.positive_pull(a, h, *positives).to(z.dtype), None, None, None


def _composed_pull(
    a: Tensor, z: Tensor, labels: Tensor | None, offsets: Tensor | None, indices: Tensor | None
) -> Tensor:
    """Linear in a and in z."""
    (a, z), (da, dz) = split(a, z)
    op, lists = torch.ops.smoothswap.positive_pull, (labels, offsets, indices)
    return make_dual(op(a, z, *lists), op(da, z, *lists) + op(a, dz, *lists))


define(
    "same_label_sum",
    "(Tensor v, Tensor labels) -> Tensor",
    run=same_label_sum_reference,
    fake=_fake,
    setup=_setup_same,
    backward=_backward_same,
    composed=linear(lambda *given: torch.ops.smoothswap.same_label_sum(*given)),
)
define(
    "listed_sum",
    "(Tensor v, Tensor offsets, Tensor indices) -> Tensor",
    run=listed_sum_reference,
    fake=_fake,
    setup=_setup_listed,
    backward=_backward_listed,
    composed=linear(lambda *given: torch.ops.smoothswap.listed_sum(*given)),
)
define(
    "positive_pull",
    "(Tensor a, Tensor z, Tensor? labels, Tensor? offsets, Tensor? indices) -> Tensor",
    run=_run_pull,
    fake=_fake_pull,
    setup=_setup_pull,
    backward=_backward_pull,
    composed=_composed_pull,
)
backend.attach("positive_dots", "reference", dots_reference)
backend.attach("positive_pull", "reference", pull_reference)
