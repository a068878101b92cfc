"""Which pictures make the next batch: endless, decided by the seed alone, and resumable at any batch.

A sampler is a function from the batch's number to its indices (`batch_at`), plus a counter. So its whole state is that
number, and nothing that was drawn earlier has to be replayed to continue.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smoothswap.core.errors import CheckpointError, ConfigError

# Separate random streams of one seed.
_ORDER, _DECK, _FILL = 0, 1, 2


class BatchSampler:
    """Base of the samplers: the counter, the state, and the share of each process.

    Args:
        seed: decides everything that is drawn.
        rank: number of this process among `world_size`; process r takes the batches r, r + world_size, …
        world_size: number of processes that train together.
    """

    def __init__(self, seed: int, rank: int, world_size: int) -> None:
        if seed < 0:
            raise ConfigError(f"the seed of a sampler cannot be {seed}", "allowed: ≥ 0")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} is outside of 0 … {world_size - 1}")
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = 0
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] = (-1, np.empty(0, np.int64))

    @property
    def batches_per_epoch(self) -> int:
        """Batches, counted over all processes, after which every picture has been drawn at least once."""
        raise NotImplementedError

    def indices(self, number: int) -> list[int]:
        """The picture indices of batch `number` ≥ 0, counted over all processes."""
        raise NotImplementedError

    def batch_at(self, position: int) -> list[int]:
        """The picture indices of this process's batch number `position` ≥ 0."""
        return self.indices(position * self.world_size + self.rank)

    def __iter__(self) -> Iterator[list[int]]:
        """Endless batches from the current position on; the position moves with each."""
        while True:
            batch = self.batch_at(self.position)
            self.position += 1
            yield batch

    def state(self) -> dict[str, int]:
        """The position and what it was counted with; plain integers, the same in every process."""
        return {"position": self.position, **self._facts()}

    def restore(self, state: dict[str, int]) -> None:
        """Continue with the batch that follows the saved ones.

        Raises:
            CheckpointError: the state was saved with another seed, data set, batch or number of processes.
        """
        for name, mine in self._facts().items():
            if state.get(name) != mine:
                raise CheckpointError(
                    f"the saved sampler has {name} {state.get(name)}, this one {mine}",
                    "with another one the batches would not be those of the interrupted run",
                    hint=f"continue with the same {name}, or start a new run",
                )
        self.position = int(state["position"])

    def _facts(self) -> dict[str, int]:
        return {"seed": self.seed, "world_size": self.world_size}

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *stream])

    def _permutation(self, count: int, round_: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The order of 0 … count − 1 in round `round_`; the last one is kept, since batches come in order."""
        if self._order[0] != round_:
            self._order = (round_, self._rng(_ORDER, round_).permutation(count))
        return self._order[1]


class ShuffleSampler(BatchSampler):
    """Batches of pictures in random order, each picture once before any comes again.

    The end of one pass and the start of the next share a batch where the number of pictures is no multiple of its size.

    Args:
        n: number of pictures.
        batch_size: pictures a batch.
        seed: decides the order.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ConfigError: no pictures, a batch size below 1, a negative seed.
    """

    def __init__(self, n: int, batch_size: int, seed: int = 0, *, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(seed, rank, world_size)
        if n < 1 or batch_size < 1:
            raise ConfigError(f"cannot draw batches of {batch_size} from {n} pictures", "both must be at least 1")
        self.n = n
        self.batch_size = batch_size

    @property
    def batches_per_epoch(self) -> int:
        """Batches after which every picture has been drawn."""
        return -(-self.n // self.batch_size)

    def indices(self, number: int) -> list[int]:
        """The picture indices of batch `number`."""
        drawn = range(number * self.batch_size, (number + 1) * self.batch_size)
        return [int(self._permutation(self.n, i // self.n)[i % self.n]) for i in drawn]

    def _facts(self) -> dict[str, int]:
        return {**super()._facts(), "pictures": self.n, "batch_size": self.batch_size}


class PKSampler(BatchSampler):
    """Batches of P different people with K pictures each, as contrastive and triplet losses need them.

    Everything goes in rounds: a round visits every person once, in random order; its last batch is filled up with
    people of the same round. A person's pictures are a shuffled deck of which each visit takes the next K; a deck is
    shuffled anew when it is through. So after `batches_per_epoch` batches every picture has been drawn. People with
    fewer than K pictures give all of them, and repeat some. Every person is drawn equally often.

    Where people come in groups that look alike, `people_per_group` of each enter a batch together: the telling apart of
    look-alikes is what a contrastive loss learns most from, and people drawn one by one would seldom meet theirs.

    Args:
        labels: [N] person index of each picture.
        people_per_batch: P ≥ 1.
        images_per_person: K ≥ 1.
        seed: decides the order.
        groups: [people] group of each person, in order of the labels; none draws people one by one.
        people_per_group: how many of a group come together (fewer where a group has no more left).
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ConfigError: P above the number of people, P or K below 1, labels that are no list of integers, a negative seed,
            groups of another length.
    """

    def __init__(
        self,
        labels: Tensor,
        people_per_batch: int,
        images_per_person: int,
        seed: int = 0,
        *,
        groups: Tensor | None = None,
        people_per_group: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(seed, rank, world_size)
        if labels.dim() != 1 or labels.is_floating_point() or len(labels) == 0:
            raise ConfigError(f"labels must be integers [N], got {labels.dtype} {list(labels.shape)}")
        if people_per_batch < 1 or images_per_person < 1:
            raise ConfigError(
                f"cannot draw {people_per_batch} people with {images_per_person} pictures each",
                "both must be at least 1",
            )
        order = torch.argsort(labels, stable=True)
        counts = torch.unique_consecutive(labels[order], return_counts=True)[1]
        self.pictures = [part.numpy() for part in torch.split(order, counts.tolist())]
        if people_per_batch > len(self.pictures):
            raise ConfigError(
                f"a batch of {people_per_batch} people cannot be drawn from {len(self.pictures)}",
                hint=f"lower the people per batch to at most {len(self.pictures)}, or bring more people",
            )
        if groups is not None and len(groups) != len(self.pictures):
            raise ConfigError(f"groups has {len(groups)} entries, but there are {len(self.pictures)} people")
        if people_per_group < 1:
            raise ConfigError(f"people_per_group cannot be {people_per_group}", "allowed: ≥ 1")
        together = groups is not None and people_per_group > 1
        self.groups = groups.numpy() if together and groups is not None else None
        self.people_per_group = people_per_group if together else 1
        self.n = len(labels)
        self.people_per_batch = people_per_batch
        self.images_per_person = images_per_person

    @property
    def batch_size(self) -> int:
        """Pictures a batch, P·K."""
        return self.people_per_batch * self.images_per_person

    @property
    def batches_per_round(self) -> int:
        """Batches after which every person has been visited."""
        return -(-len(self.pictures) // self.people_per_batch)

    @property
    def batches_per_epoch(self) -> int:
        """Batches after which every picture of every person has been drawn."""
        most = max(len(pictures) for pictures in self.pictures)
        return self.batches_per_round * -(-most // self.images_per_person)

    def indices(self, number: int) -> list[int]:
        """The picture indices of batch `number`, K after K for each of its people."""
        round_, slot = divmod(number, self.batches_per_round)
        order = self._permutation(len(self.pictures), round_)
        first = slot * self.people_per_batch
        people = order[first : first + self.people_per_batch]
        batch = [index for person in people for index in self._visit(int(person), round_)]
        missing = self.people_per_batch - len(people)
        for person in self._rng(_FILL, round_).permutation(order[:first])[:missing]:
            # A second visit in the same round draws freely, so that it does not disturb the deck of the first.
            batch += self._free_draw(int(person), round_)
        return batch

    def _permutation(self, count: int, round_: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The order of people in a round; look-alikes stand together in runs of `people_per_group`."""
        if self.groups is None or self._order[0] == round_:
            return super()._permutation(count, round_)
        rng = self._rng(_ORDER, round_)
        runs: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        for group in np.unique(self.groups):
            people = rng.permutation(np.flatnonzero(self.groups == group))
            runs += [people[i : i + self.people_per_group] for i in range(0, len(people), self.people_per_group)]
        self._order = (round_, np.concatenate([runs[i] for i in rng.permutation(len(runs))]))
        return self._order[1]

    def _visit(self, person: int, round_: int) -> list[int]:
        pictures, k = self.pictures[person], self.images_per_person
        deck_number, part = divmod(round_, -(-len(pictures) // k))
        rng = self._rng(_DECK, person, deck_number)
        deck = rng.permutation(pictures)
        drawn = deck[part * k : (part + 1) * k]
        missing = k - len(drawn)
        # The rest of a deck is filled from its start, so that all K differ, unless the person has fewer than K.
        more = deck[:missing] if len(pictures) >= k else rng.choice(deck, missing)
        return [int(index) for index in np.concatenate([drawn, more])]

    def _free_draw(self, person: int, round_: int) -> list[int]:
        pictures, k = self.pictures[person], self.images_per_person
        rng = self._rng(_FILL, round_, person)
        drawn = rng.permutation(pictures)[:k]
        return [int(index) for index in np.concatenate([drawn, rng.choice(pictures, k - len(drawn))])]

    def _facts(self) -> dict[str, int]:
        return {
            **super()._facts(),
            "pictures": self.n,
            "people": len(self.pictures),
            "people_per_batch": self.people_per_batch,
            "images_per_person": self.images_per_person,
            "people_per_group": self.people_per_group,
        }
