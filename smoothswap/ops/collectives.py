"""What the processes of a torch.distributed group tell each other about a batch that is spread over them.

Rows are gathered exactly: each process may have another number of them, also none, and nothing is padded. Tensors
travel as bytes, since not every backend knows every dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from smoothswap.core.errors import ArgumentError

Group = Any  # torch.distributed.ProcessGroup, or None for all processes


def size_of(group: Group = None) -> int:
    """How many processes share a batch: 1 where torch.distributed is not in use.

    Raises:
        ArgumentError: this process is not in the group.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return 1
    size = dist.get_world_size(group)
    if size < 1:
        raise ArgumentError("this process is not in the group of processes that it was asked to share a batch with")
    return size


def device_of(group: Group = None) -> torch.device:
    """A device whose tensors can travel between the processes."""
    if dist.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def tell(numbers: Sequence[int], device: torch.device, group: Group = None) -> list[list[int]]:
    """Give every process the numbers of all: one list for each, in order of rank."""
    mine = torch.tensor(numbers, dtype=torch.int64, device=device)
    told: list[list[int]] = _equal_rows(mine[None], size_of(group), group).tolist()
    return told


def agree(fault: ArgumentError | None, numbers: Sequence[int], device: torch.device, group: Group) -> list[list[int]]:
    """`tell`, unless a process has a fault to report: then that one is raised on all of them, and nobody waits.

    Args:
        fault: what is wrong with this process's part of the batch.
        numbers: what to tell of it.
        device: device of the batch.
        group: the processes.

    Raises:
        ArgumentError: the fault of the first process that has one.
    """
    text = b"" if fault is None else "\n".join([fault.what, *fault.facts, fault.hint]).encode()
    told = tell([len(text), *numbers], device, group)
    lengths = [each[0] for each in told]
    if any(lengths):
        raw = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(0, dtype=torch.uint8)
        every = bytes(rows_of_all(raw.to(device), lengths, group).cpu().tolist())
        rank = next(r for r, length in enumerate(lengths) if length)
        what, *facts, hint = every[: lengths[rank]].decode().split("\n")
        raise ArgumentError(what, *facts, f"seen on process {rank} of {len(told)}, counted from 0", hint=hint)
    return [each[1:] for each in told]


def rows_of_all(rows: Tensor, sizes: Sequence[int], group: Group = None) -> Tensor:
    """The rows of every process, in order of rank; no gradient.

    Args:
        rows: [n, …] of this process.
        sizes: n of each process.
        group: the processes.

    Returns:
        [N, …] with N the sum of the sizes.
    """
    if len(set(sizes)) == 1:
        return _equal_rows(rows, len(sizes), group)
    rank = dist.get_rank(group)
    every = rows.new_empty(sum(sizes), *rows.shape[1:])
    parts = list(torch.split(every, list(sizes)))
    parts[rank].copy_(rows)
    # One broadcast for each process, all on their way at once: a gather would need equal, padded parts.
    on_their_way = [
        dist.broadcast(_bytes(part), global_rank(r, group), group=group, async_op=True)
        for r, part in enumerate(parts)
        if part.numel()
    ]
    for work in on_their_way:
        work.wait()
    return every


def ring(own: Tensor, sizes: Sequence[int], group: Group = None) -> Iterator[tuple[int, Tensor]]:
    """The blocks of all processes one after the other, the own one first, each travelling from neighbour to neighbour.

    While a block is worked on the next one arrives, so no more than two blocks beside the own one are in memory. A
    block is overwritten when the one after the next is asked for.

    Args:
        own: rows [n, …] of this process.
        sizes: n of each process.
        group: the processes.

    Yields:
        Rank of the process that a block belongs to, and its rows.
    """
    rank, count = dist.get_rank(group), len(sizes)
    ahead, behind = global_rank((rank + 1) % count, group), global_rank((rank - 1) % count, group)
    buffers = [own.new_empty(max(sizes), *own.shape[1:]) for _ in range(min(2, count - 1))]
    block = own.contiguous()
    for step in range(count):
        whose, whose_next = (rank - step) % count, (rank - step - 1) % count
        wait: list[Any] = []
        if step + 1 < count:
            following = buffers[step % 2][: sizes[whose_next]]
            wanted = [(dist.isend, block, ahead), (dist.irecv, following, behind)]
            transfers = [dist.P2POp(do, _bytes(part), peer, group) for do, part, peer in wanted if part.numel()]
            wait = dist.batch_isend_irecv(transfers) if transfers else []
        yield whose, block
        for work in wait:
            work.wait()
        if step + 1 < count:
            block = following


def global_rank(rank: int, group: Group) -> int:
    """Number among all processes of the one with this number in the group."""
    return rank if group is None else dist.get_global_rank(group, rank)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: Sequence[int], group: Group) -> Tensor:
        ctx.sizes, ctx.group = sizes, group
        return rows_of_all(rows, sizes, group)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        # Every process has a loss that saw these rows, so their gradient is the sum of what all of them say.
        total = g.contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return torch.split(total, list(ctx.sizes))[dist.get_rank(ctx.group)], None, None


def gather(rows: Tensor, labels: Tensor, group: Group = None) -> tuple[Tensor, Tensor]:
    """Rows and labels of all processes, with gradients, for a loss that compares each row with the whole batch.

    Every process then computes the same loss. The gradient of a process's own rows is the sum of those of all these
    losses: the number of processes times that of one, so that averaging over the processes gives the joint batch's.

    Args:
        rows: [n, D] of this process; n may differ.
        labels: [n].
        group: the processes; all by default.

    Returns:
        [N, D] and [N].
    """
    if size_of(group) == 1:
        return rows, labels
    sizes = [each[0] for each in tell([rows.shape[0]], rows.device, group)]
    apply: Callable[..., Tensor] = _Gathered.apply
    return apply(rows, sizes, group), rows_of_all(labels, sizes, group)


def _equal_rows(rows: Tensor, count: int, group: Group) -> Tensor:
    every = rows.new_empty(count * rows.shape[0], *rows.shape[1:])
    if rows.numel():
        # Newer versions of PyTorch have it under another name, and warn of the old one.
        gather_into = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        gather_into(_bytes(every), _bytes(rows.contiguous()), group=group)
    return every


def _bytes(tensor: Tensor) -> Tensor:
    """The same memory [bytes] of a contiguous tensor."""
    return tensor.detach().view(-1).view(torch.uint8)
