"""The checks that the losses share: a wrong batch is refused with a sentence, instead of training on nonsense."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError, NotFiniteError
from smoothswap.losses.swap_batch import SwapBatch
from smoothswap.ops.checks import values_readable

# What training does with a batch that is spread over processes, as a loss's attribute `across` says it: the loss brings
# the vectors together itself ("inside"); every image counts by itself, so none have to meet ("separate"); the loss gets
# the vectors of all processes ("gathered", also where it has no such attribute).
Across = Literal["inside", "separate", "gathered"]


def vectors(z: Tensor, name: str, *, dim: int | None = None) -> Tensor:
    """Check a batch of vectors and give it back in at least float32.

    Half precision holds 3 digits; divided by a temperature of 0.07 or multiplied by 64 that is an error of whole units.

    Args:
        z: [N, D] floating point, N ≥ 1, finite.
        name: what the caller calls it.
        dim: the D that it must have.

    Raises:
        ArgumentError: another rank, an empty batch, another D, integers, NaN or infinity.
    """
    if z.dim() != 2 or z.numel() == 0 or (dim is not None and z.shape[1] != dim):
        wanted = f"[N, {'D' if dim is None else dim}]"
        raise ArgumentError(f"{name} has shape {list(z.shape)}, but {wanted} is needed, with N at least 1")
    return finite(z, name)


def finite(x: Tensor, name: str) -> Tensor:
    """Check that a floating-point tensor of any shape is finite, and give it back in at least float32.

    On a GPU the values are not looked at: the program would wait for them at each step. A training notices NaN and
    infinity there at its next line of the log.

    Raises:
        ArgumentError: integers.
        NotFiniteError: NaN or infinity on the CPU.
    """
    if not x.is_floating_point():
        raise ArgumentError(f"{name} has dtype {x.dtype}, but a floating-point tensor is needed")
    # Reading the values would break a compiled graph in two, so compiled code goes without this check.
    if values_readable() and not x.is_cuda:
        good = torch.isfinite(x.detach())
        if not good.all():
            wrong = x.numel() - int(good.sum())
            raise NotFiniteError(
                f"{name} holds {wrong} values of {x.numel()} that are NaN or infinite",
                f"shape {list(x.shape)}, dtype {x.dtype}",
                hint="the training has diverged: lower the learning rate, or train in a wider precision",
            )
    return x if x.dtype == torch.float64 else x.float()


def labels_of(labels: Tensor, z: Tensor, *, people: int | None = None) -> Tensor:
    """Check the person indices of a batch of vectors and give them back as int64.

    Args:
        labels: [N] integers.
        z: [N, D], the vectors that they belong to.
        people: where given, labels must lie in 0 … people − 1.

    Raises:
        ArgumentError: another rank, length, dtype or device, or a label outside of the range.
    """
    if labels.dim() != 1 or labels.shape[0] != z.shape[0]:
        raise ArgumentError(
            f"labels have shape {list(labels.shape)}, but [{z.shape[0]}] is needed",
            f"one label for each of the {z.shape[0]} embeddings",
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ArgumentError(f"labels have dtype {labels.dtype}, but integers (torch.int64) are needed")
    if labels.device != z.device:
        raise ArgumentError(
            f"labels are on {labels.device}, the embeddings on {z.device}", hint=f"labels.to('{z.device}')"
        )
    if people is not None and values_readable():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= people:
            raise ArgumentError(
                f"label {low if low < 0 else high} is outside of 0 … {people - 1}",
                f"the loss was built with people={people}",
                hint="build it with the number of people of the data set",
            )
    return labels.long()


def same_shape(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    """Refuse two tensors of different shapes, which would otherwise broadcast to a wrong mean.

    Raises:
        ArgumentError: different shapes or devices.
    """
    if a.shape != b.shape:
        raise ArgumentError(
            f"{name_a} has shape {list(a.shape)}, {name_b} has shape {list(b.shape)}; they must be equal"
        )
    if a.device != b.device:
        raise ArgumentError(f"{name_a} is on {a.device}, {name_b} on {b.device}")


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which matrix products on the device of `x` keep the precision of their arguments."""
    return torch.autocast(x.device.type, enabled=False)


def pictures(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    """Refuse what are not two batches of pictures [B, 3, H, W] of one shape, B ≥ 1.

    Raises:
        ArgumentError: another rank, an empty batch, different shapes or devices.
    """
    same_shape(a, b, name_a, name_b)
    if a.dim() != 4 or a.numel() == 0:
        raise ArgumentError(f"{name_a} has shape {list(a.shape)}, but [B, 3, H, W] is needed, with B at least 1")


def swapped_and_truth(batch: SwapBatch) -> tuple[Tensor, Tensor]:
    """The swaps of a batch and their true swaps, both [B, 3, H, W] in at least float32.

    Raises:
        ArgumentError: no truth, wrong or different shapes, integers, non-finite values.
    """
    if batch.truth is None:
        raise ArgumentError("the batch has no truth", hint="use a data set that knows it, such as faceworld_swaps")
    pictures(batch.swapped, batch.truth, "swapped", "truth")
    return finite(batch.swapped, "swapped"), finite(batch.truth, "truth")
