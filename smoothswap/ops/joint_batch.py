"""A batch of vectors that is spread over processes, as one of them sees it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor

from smoothswap.ops import collectives
from smoothswap.ops.layout import arithmetic


class JointBatch:
    """The joint batch as one process sees it.

    Args:
        sizes: number n of rows of each process.
        labels: [N] of all of them.
        temperature: τ.
        exchange: "gather" or "ring".
        group: the processes.
    """

    def __init__(
        self, sizes: list[int], labels: Tensor, temperature: float, exchange: str, group: collectives.Group
    ) -> None:
        self.sizes, self.labels, self.temperature = sizes, labels, temperature
        self.exchange, self.group = exchange, group
        self.rank = dist.get_rank(group)
        self.ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
        self.own = self.span(self.rank)
        # The classes of the own rows: what a row needs of the others are sums over these.
        self.classes, self.class_of = torch.unique(labels[self.own], return_inverse=True)
        _, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        self.positives = counts[inverse] - 1  # |P(i)| [N]

    def span(self, rank: int) -> slice:
        """Where the rows of a process are among those of all."""
        return slice(self.ends[rank], self.ends[rank + 1])

    def anchors(self) -> int:
        """How many rows of all processes have a positive."""
        return int((self.positives > 0).sum())

    def gathered(self, z: Tensor) -> Tensor | None:
        """The columns [N, D] of all processes for z [n, D], or None where they travel in a ring."""
        return collectives.rows_of_all(z, self.sizes, self.group) if self.exchange == "gather" else None

    def blocks(self, z: Tensor, gathered: Tensor | None) -> Iterator[tuple[Tensor, slice, int]]:
        """Columns [m, D], where they are among all, and the column of the first own row; m where none is an own one."""
        if gathered is not None:
            yield gathered, slice(0, self.ends[-1]), self.own.start
            return
        for rank, block in collectives.ring(z, self.sizes, self.group):
            if len(block):
                yield block, self.span(rank), 0 if rank == self.rank else len(block)

    def class_sums(self, v: Tensor, where: slice, weights: Tensor | None = None) -> Tensor:
        """Sums [C, D] over v [m, D] for each class of the own rows, in a fixed order on every device.

        Args:
            v: columns.
            where: their place among all.
            weights: [m] to multiply them with.
        """
        sums = v.new_zeros(len(self.classes), v.shape[1], dtype=arithmetic(v.dtype))
        labels = self.labels[where]
        if not len(self.classes) or not len(labels):
            return sums
        place = torch.searchsorted(self.classes, labels).clamp_(max=len(self.classes) - 1)
        chosen = (self.classes[place] == labels).nonzero()[:, 0]
        if not len(chosen):
            return sums
        chosen = chosen[place[chosen].argsort(stable=True)]
        parts = v[chosen].to(sums.dtype)
        if weights is not None:
            parts = parts * weights[chosen, None]
        lengths = torch.bincount(place[chosen], minlength=len(self.classes))
        return torch.segment_reduce(parts, "sum", lengths=lengths)

    def of_others(self, sums: Tensor, own: Tensor) -> Tensor:
        """For each own row the class sum [C, D] less itself [n, D]; an exact 0 where it is alone."""
        others: Tensor = (sums[self.class_of] - own) * (self.positives[self.own] > 0).to(own.dtype)[:, None]
        return others
