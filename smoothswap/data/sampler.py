"""Which pictures make the next batch: endless, decided by the seed alone, and resumable at any batch.

A sampler is a function from the batch's number to its indices (`indices`), plus a counter. So its whole state is that
number, and nothing that was drawn earlier has to be replayed to continue. A batch is that of all processes which train
together, each of which takes its share: so the same run has the same batches on one device and on many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from smoothswap.core.errors import CheckpointError, ConfigError
from smoothswap.data.look_alikes import Runs
from smoothswap.data.shuffle import Integers, Keys, key_of, shuffled

# Separate random streams of one seed.
_ORDER, _DECK, _FILL, _GROUPS = 0, 1, 2, 3
_SCHEME = 2  # raised whenever the same options give other batches, so that no older state is continued with them


class BatchSampler:
    """Base of the samplers: the counter, the state, and the share of each process.

    Args:
        seed: decides everything that is drawn.
        rank: number of this process among `world_size`.
        world_size: number of processes that train together.
        parts: what a batch consists of and is shared out by: people, or pictures. Shares differ by one part at most.
        pictures_per_part: indices that belong to one part.
    """

    def __init__(self, seed: int, rank: int, world_size: int, parts: int, pictures_per_part: int = 1) -> None:
        if seed < 0:
            raise ConfigError(f"the seed of a sampler cannot be {seed}", "allowed: ≥ 0")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} is outside of 0 … {world_size - 1}")
        if 1 <= parts < world_size:
            raise ConfigError(
                f"a batch of {parts} cannot be shared out to {world_size} processes",
                "each needs at least one person, or one picture where people do not matter",
                hint=f"make the batch larger, or train with at most {parts} processes",
            )
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = 0
        each, more = divmod(parts, world_size)
        first = rank * each + min(rank, more)
        last = first + each + (rank < more)
        self.share = slice(first * pictures_per_part, last * pictures_per_part)

    @property
    def batches_per_epoch(self) -> int:
        """Batches after which every picture has been drawn at least once."""
        raise NotImplementedError

    def indices(self, number: int) -> list[int]:
        """The picture indices of batch `number` ≥ 0, those of all processes."""
        raise NotImplementedError

    def batch_at(self, position: int) -> list[int]:
        """The picture indices of this process's share of batch number `position` ≥ 0."""
        return self.indices(position)[self.share]

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
        """Continue with the batch that follows the saved ones; the number of processes may have changed.

        Raises:
            CheckpointError: the state was saved with another seed, data set or batch.
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
        return {"scheme": _SCHEME, "seed": self.seed}


class ShuffleSampler(BatchSampler):
    """Batches of pictures in random order, each picture once before any comes again.

    The end of one pass and the start of the next share a batch where the number of pictures is no multiple of its size.
    A batch costs the same for any number of pictures.

    Args:
        n: number of pictures.
        batch_size: pictures a batch, those of all processes together.
        seed: decides the order.
        rank: number of this process.
        world_size: number of processes; each takes its share of the pictures.

    Raises:
        ConfigError: no pictures, a batch size below 1 or below the number of processes, a negative seed.
    """

    def __init__(self, n: int, batch_size: int, seed: int = 0, *, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(seed, rank, world_size, batch_size)
        if n < 1 or batch_size < 1:
            raise ConfigError(f"cannot draw batches of {batch_size} from {n} pictures", "both must be at least 1")
        self.n = n
        self.batch_size = batch_size

    @property
    def batches_per_epoch(self) -> int:
        """Batches after which every picture has been drawn."""
        return -(-self.n // self.batch_size)

    def indices(self, number: int) -> list[int]:
        """The picture indices of batch `number`, those of all processes."""
        drawn = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        pass_, place = np.divmod(drawn, self.n)
        order: list[int] = shuffled(place, self.n, key_of(self.seed, _ORDER, pass_)).tolist()
        return order

    def _facts(self) -> dict[str, int]:
        return {**super()._facts(), "pictures": self.n, "batch_size": self.batch_size}


class PKSampler(BatchSampler):
    """Batches of P different people with K pictures each, as contrastive and triplet losses need them.

    Everything goes in rounds: a round visits every person once, in random order; its last batch is filled up with
    people of the same round. So no person is twice in a batch. A person's pictures are a shuffled deck of which each
    visit takes the next K; a deck is shuffled anew when it is through. So after `batches_per_epoch` batches every
    picture has been drawn. People with fewer than K pictures give all of them, and repeat some. Every person is drawn
    equally often.

    Where people come in groups that look alike, `people_per_group` of each enter a batch together: the telling apart of
    look-alikes is what a contrastive loss learns most from, and people drawn one by one would seldom meet theirs.

    A batch costs the same however many people there are and pictures each has; with groups, the first batch of a round
    orders the people. Memory: one number for each picture, sorted by person.

    Args:
        labels: [N] person index of each picture.
        people_per_batch: P ≥ 1, those of all processes together.
        images_per_person: K ≥ 1.
        seed: decides the order.
        groups: [people] group of each person, in order of the labels; none draws people one by one.
        people_per_group: how many of a group come together (fewer where a group has no more left).
        rank: number of this process.
        world_size: number of processes; each takes its share of the P people, with all their K pictures.

    Raises:
        ConfigError: P above the number of people or below the number of processes, P or K below 1, labels that are no
            list of integers, a negative seed, groups of another length.
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
        super().__init__(seed, rank, world_size, people_per_batch, images_per_person)
        if labels.dim() != 1 or labels.is_floating_point() or len(labels) == 0:
            raise ConfigError(f"labels must be integers [N], got {labels.dtype} {list(labels.shape)}")
        if people_per_batch < 1 or images_per_person < 1:
            raise ConfigError(
                f"cannot draw {people_per_batch} people with {images_per_person} pictures each",
                "both must be at least 1",
            )
        self._pictures, self._starts = _by_person(labels)
        self.people = len(self._starts) - 1
        self._counts = np.diff(self._starts)
        if people_per_batch > self.people:
            raise ConfigError(
                f"a batch of {people_per_batch} people cannot be drawn from {self.people}",
                hint=f"lower the people per batch to at most {self.people}, or bring more people",
            )
        if groups is not None and len(groups) != self.people:
            raise ConfigError(f"groups has {len(groups)} entries, but there are {self.people} people")
        if people_per_group < 1:
            raise ConfigError(f"people_per_group cannot be {people_per_group}", "allowed: ≥ 1")
        together = groups is not None and people_per_group > 1
        self._runs = Runs(groups.numpy(), people_per_group) if together and groups is not None else None
        self._round: tuple[int, Integers] = (-1, np.empty(0, np.int64))
        self.people_per_group = people_per_group if together else 1
        self.n = len(labels)
        self.people_per_batch = people_per_batch
        self.images_per_person = images_per_person

    @property
    def batch_size(self) -> int:
        """Pictures a batch, P·K, those of all processes together."""
        return self.people_per_batch * self.images_per_person

    @property
    def batches_per_round(self) -> int:
        """Batches after which every person has been visited."""
        return -(-self.people // self.people_per_batch)

    @property
    def batches_per_epoch(self) -> int:
        """Batches after which every picture of every person has been drawn."""
        return self.batches_per_round * -(-int(self._counts.max()) // self.images_per_person)

    def indices(self, number: int) -> list[int]:
        """The picture indices of batch `number`, those of all processes, K after K for each of its people."""
        round_, slot = divmod(number, self.batches_per_round)
        first = slot * self.people_per_batch
        last = min(first + self.people_per_batch, self.people)
        drawn = [self._visits(self._people_at(np.arange(first, last), round_), round_)]
        missing = first + self.people_per_batch - last
        if missing:
            # A stretch of those who came before in this round, so that look-alikes stand in for look-alikes.
            choices = (first - missing) // self.people_per_group + 1
            start = int(key_of(self.seed, _FILL, round_)[0] % np.uint64(choices)) * self.people_per_group
            again = self._people_at(np.arange(start, start + missing), round_)
            drawn.append(self._second_visits(again, round_))
        batch: list[int] = np.concatenate(drawn).ravel().tolist()
        return batch

    def _people_at(self, places: Integers, round_: int) -> Integers:
        """Who stands at some places of a round's order."""
        if self._runs is None:
            return shuffled(places, self.people, key_of(self.seed, _ORDER, round_))
        if self._round[0] != round_:  # kept, since batches come in order
            self._round = (round_, self._runs.order(self.seed, _GROUPS, round_))
        return self._round[1][places]

    def _visits(self, people: Integers, round_: int) -> Integers:
        """The next K of each person's deck: [people, K]."""
        count, k = self._counts[people][:, None], self.images_per_person
        deck, part = np.divmod(round_, -(-count // k))
        # The rest of a deck is filled from its start, so that all K differ, unless the person has fewer than K.
        places = (part * k + np.arange(k)) % count
        return self._drawn(people, places, key_of(self.seed, _DECK, people[:, None], deck))

    def _second_visits(self, people: Integers, round_: int) -> Integers:
        """K of each person's, drawn freely, so that the deck of the first visit is not disturbed: [people, K]."""
        places = np.arange(self.images_per_person) % self._counts[people][:, None]
        return self._drawn(people, places, key_of(self.seed, _FILL, round_, people[:, None]))

    def _drawn(self, people: Integers, places: Integers, key: Keys) -> Integers:
        owner = people[:, None]
        entry = shuffled(places, self._counts[owner], key)
        pictures: Integers = self._pictures[self._starts[owner] + entry].astype(np.int64)
        return pictures

    def _facts(self) -> dict[str, int]:
        return {
            **super()._facts(),
            "pictures": self.n,
            "people": self.people,
            "people_per_batch": self.people_per_batch,
            "images_per_person": self.images_per_person,
            "people_per_group": self.people_per_group,
        }


def _by_person(labels: Tensor) -> tuple[np.ndarray[Any, Any], Integers]:
    """Picture indices sorted by person, [N], and where each person's begin, [people + 1]."""
    values = labels.numpy()
    order = np.argsort(values, kind="stable")  # takes one pass where the labels are sorted already
    values = values[order]
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])
    small = len(values) <= np.iinfo(np.int32).max
    return order.astype(np.int32) if small else order, starts
