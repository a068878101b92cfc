"""distributed_supcon_loss: supervised contrastive loss of a batch that is spread over processes.

Each process computes the anchors (rows) that it holds against the vectors (columns) of all; formulas and letters are
those of `supcon_loss`. What has to travel, for N vectors in all, n on this process:

    gather   forward: z of all processes, once, kept for the backward pass    backward: lse and g, N numbers each
    ring     forward: z of all processes, block by block                      backward: the same again, and lse and g

No gradient travels: dz of the own rows follows from everybody's lse and g. A process's positives need class sums
over the labels that it holds only. With `gather` a process holds N·D numbers of z's own dtype between the two passes;
with `ring` three blocks of n·D (the own one, and two that travel) during each.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError, NotFiniteError
from smoothswap.ops import checks, collectives
from smoothswap.ops.joint_batch import JointBatch
from smoothswap.ops.layout import arithmetic, without_autocast
from smoothswap.ops.supcon_loss import supcon_loss
from smoothswap.ops.transforms import transformed

EXCHANGES = ("gather", "ring")
_REDUCTIONS = ("mean", "sum", "none")
_OP = "distributed_supcon_loss"


def distributed_supcon_loss(
    z: Tensor,
    labels: Tensor,
    temperature: float = 0.07,
    reduction: str = "mean",
    *,
    group: collectives.Group = None,
    exchange: str = "gather",
) -> Tensor:
    """Supervised contrastive loss of the joint batch of all processes of a group.

    To be called by every process of the group, like any collective of torch.distributed. What one process finds wrong
    is raised on all of them. Without an initialised process group, or with one process, it is `supcon_loss`.

    Every process gets the same loss. The gradient of its own z is that of this loss times the number of processes, so
    that the averaging of gradients of DistributedDataParallel gives the gradient of the joint batch.

    Args:
        z: vectors [n, D] of this process, usually of unit length; fp64, fp32, bf16 or fp16. Every process may have
            another n, also 0.
        labels: integers [n]; equal labels are positives of each other, on whatever process.
        temperature: τ > 0 that divides the similarities.
        reduction: "mean" over the anchors of all processes that have a positive (0 where none has), "sum" over them,
            or "none".
        group: the processes; all by default.
        exchange: "gather" brings z of all processes together on each, N·D numbers of z's dtype; "ring" passes blocks of
            z round and holds two at a time, for twice the traffic. Gather unless N·D·(bytes of z's dtype) is too much.

    Returns:
        A scalar, or this process's part [n] for "none"; fp32, or fp64 for fp64.

    Raises:
        ArgumentError: on every process, where one has z or labels of a wrong rank, dtype, device or length, z that is
            not finite, a wrong option, or another D, dtype or option than the first; or where one is inside of a
            transform of torch.func or of forward mode.
        NotImplementedError: a second derivative is asked for.
    """
    fault = _fault(z, labels, temperature, reduction, exchange)
    if collectives.size_of(group) == 1:
        if fault is not None:
            raise fault
        return supcon_loss(z, labels, temperature, reduction)
    if fault is None and transformed():
        fault = ArgumentError(
            f"{_OP} goes through no transform of torch.func and no forward-mode differentiation on several processes",
            hint="Use torch.autograd.grad, or supcon_loss, on one process, which goes through all of them.",
        )
    sizes = _agree(fault, z, temperature, reduction, exchange, group)
    every = collectives.rows_of_all(labels.long().contiguous(), sizes, group)
    batch = JointBatch(sizes, every, float(temperature), exchange, group)
    apply: Callable[..., Tensor] = _Losses.apply
    loss = apply(z.contiguous(), batch)
    if reduction == "none":
        return loss
    joint: Callable[..., Tensor] = _JointSum.apply
    total = joint(loss, batch)
    return total / max(batch.anchors(), 1) if reduction == "mean" else total


def _fault(z: Any, labels: Any, temperature: Any, reduction: Any, exchange: Any) -> ArgumentError | None:
    """What is wrong with this process's arguments."""
    try:
        checks.floating(_OP, "z", z)
        checks.rank(_OP, "z", z, [2], "[n, D]")
        checks.integers(_OP, "labels", labels)
        checks.rank(_OP, "labels", labels, [1], "[n]")
        checks.shape(_OP, "labels", labels, z.shape[:1], f"one label for each row of z: {checks.about(z)}")
        checks.same_device(_OP, "z", z, "labels", labels)
        checks.positive(_OP, "temperature", temperature)
        for name, value, known in (("reduction", reduction, _REDUCTIONS), ("exchange", exchange, EXCHANGES)):
            if value not in known:
                raise ArgumentError(f"{_OP}: unknown {name} {value!r}, expected {', '.join(known)}")
        wrong = z.numel() - int(torch.isfinite(z.detach()).sum()) if checks.values_readable() else 0
        if wrong:
            raise NotFiniteError(
                f"{_OP}: z holds {wrong} values of {z.numel()} that are NaN or infinite",
                f"z: {checks.about(z)}",
                hint="Has the training diverged? Try a lower learning rate, or a wider precision.",
            )
    except ArgumentError as fault:
        return fault
    return None


def _agree(
    fault: ArgumentError | None, z: Any, temperature: Any, reduction: Any, exchange: Any, group: collectives.Group
) -> list[int]:
    """How many rows each process has, once it is clear that all of them mean the same loss."""
    device = z.device if isinstance(z, Tensor) else collectives.device_of(group)
    numbers = [0] * 7
    if fault is None:
        bits = struct.unpack("<q", struct.pack("<d", float(temperature)))[0]
        wants = torch.is_grad_enabled() and z.requires_grad
        kind = checks.FLOATS.index(z.dtype)
        numbers = [*z.shape, kind, bits, _REDUCTIONS.index(reduction), EXCHANGES.index(exchange), int(wants)]
    told = collectives.agree(fault, numbers, device, group)
    shown: list[tuple[str, Callable[[int], Any]]] = [
        ("the length D of z", int),
        ("the dtype of z", lambda number: str(checks.FLOATS[number]).removeprefix("torch.")),
        ("the temperature", lambda number: struct.unpack("<d", struct.pack("<q", number))[0]),
        ("the reduction", lambda number: _REDUCTIONS[number]),
        ("the exchange", lambda number: EXCHANGES[number]),
        # A process without a gradient would never enter the backward pass, where the others would wait for it.
        ("whether z requires a gradient", lambda number: "yes" if number else "no"),
    ]
    for column, (what, show) in enumerate(shown, start=1):
        for rank, each in enumerate(told):
            if each[column] != told[0][column]:
                first, other = show(told[0][column]), show(each[column])
                raise ArgumentError(
                    f"{_OP}: the processes differ in {what}: {first} on process 0, {other} on process {rank}",
                    hint="Call it with the same options and the same kind of vectors on every process.",
                )
    return [each[0] for each in told]


class _Pass(NamedTuple):
    lse: Tensor  # [n]
    others: Tensor  # [n, D], Σ over P(i) of z


def _forward(z: Tensor, batch: JointBatch, gathered: Tensor | None) -> _Pass:
    """The lse and the sum of the positives of the own rows."""
    wide = arithmetic(z.dtype)
    lse = z.new_full((len(z),), -torch.inf, dtype=wide)
    sums = z.new_zeros(len(batch.classes), z.shape[1], dtype=wide)
    for columns, where, first in batch.blocks(z, gathered):
        part = torch.ops.smoothswap.supcon_rows_lse(z, columns, first, batch.temperature)
        lse = torch.logaddexp(lse, part)
        sums += batch.class_sums(columns, where)
    return _Pass(lse, batch.of_others(sums, z.to(wide)))


def _backward(z: Tensor, batch: JointBatch, gathered: Tensor | None, of: _Pass, g: Tensor) -> Tensor:
    """Gradient [n, D] of Σ over all processes of g_i L_i by the own rows; g [n], of the own rows."""
    positives = batch.positives.to(of.lse.dtype)
    own = torch.stack([of.lse, torch.where(positives[batch.own] > 0, g, 0)], 1)
    lse, g = collectives.rows_of_all(own, batch.sizes, batch.group).T.contiguous()
    mean = g / positives.clamp(min=1)
    dz = torch.zeros_like(of.others)
    sums = z.new_zeros(len(batch.classes), z.shape[1], dtype=dz.dtype)
    for columns, where, first in batch.blocks(z, gathered):
        dz += torch.ops.smoothswap.supcon_rows_grad(
            g[batch.own], lse[batch.own], z, g[where], lse[where], columns, first, batch.temperature
        )
        sums += batch.class_sums(columns, where, mean[where])
    own_mean = mean[batch.own, None]
    dz -= (own_mean * of.others + batch.of_others(sums, own_mean * z)) / batch.temperature
    return dz


class _Losses(torch.autograd.Function):
    """L_i [n] of the own rows."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, batch: JointBatch) -> Tensor:
        with without_autocast(z):
            gathered = batch.gathered(z)
            done = _forward(z, batch, gathered)
            positives = batch.positives[batch.own].to(done.lse.dtype)
            mean = (z * done.others).sum(1) / (batch.temperature * positives.clamp(min=1))
            ctx.save_for_backward(z, gathered, *done)
            ctx.batch = batch
            # A vector alone in the world has lse = −∞ and no positive: where, not multiplication, keeps NaN out.
            return torch.where(positives > 0, done.lse - mean, 0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        z, gathered, *done = ctx.saved_tensors
        with torch.no_grad(), without_autocast(z):
            dz = _backward(z, ctx.batch, gathered, _Pass(*done), g).mul_(len(ctx.batch.sizes)).to(z.dtype)
        if torch.is_grad_enabled():
            once: Callable[..., Tensor] = _Once.apply
            dz = once(dz, z, g)
        return dz, None


class _JointSum(torch.autograd.Function):
    """Sum over all processes of the losses [n] of each; the factor of the number of processes is in `_Losses`."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, batch: JointBatch) -> Tensor:
        ctx.n = len(loss)
        every = collectives.rows_of_all(loss.sum(0, keepdim=True), [1] * len(batch.sizes), batch.group)
        return every.double().sum().to(loss.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return g.expand(ctx.n), None


class _Once(torch.autograd.Function):
    """Passes a first derivative on, and refuses to be differentiated: it would count as a constant."""

    @staticmethod
    def forward(ctx: Any, dz: Tensor, *depends_on: Tensor) -> Tensor:
        return dz.view_as(dz)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise NotImplementedError(f"{_OP} has a first derivative, no second; supcon_loss, on one process, has both")
