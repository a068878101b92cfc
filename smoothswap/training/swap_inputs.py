"""What a swapper is trained on: targets, sources and, where the data set knows them, true swaps, mixed by share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from smoothswap.core.errors import ConfigError
from smoothswap.core.interfaces import FaceDataset
from smoothswap.data.loader import Loader
from smoothswap.data.range import to_float
from smoothswap.data.sampler import BatchSampler, ShuffleSampler
from smoothswap.training.batches import Batches
from smoothswap.training.parts import share
from smoothswap.training.recipes import SwapperRecipe


@dataclass(frozen=True)
class SwapInputs:
    """B pairs before the generator's pass. Pictures are [B, 3, S, S] in [-1, 1].

    Attributes:
        target: the pictures to swap into.
        source: pictures of the people to put in.
        knows: bool [B], pairs whose true swap is known; on the CPU, where asking costs no wait for a GPU.
        truth: the true swaps; black where they are not known; None where that is so for the whole batch.
        face: [B, 2, S, S], 0 … 1: face in target and truth; None as `truth`.
        head: the same of the head.
    """

    target: Tensor
    source: Tensor
    knows: Tensor
    truth: Tensor | None = None
    face: Tensor | None = None
    head: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def real(self) -> Tensor:
        """[B, 3, S, S] what a discriminator takes for real: true swaps where they are known, else the targets.

        A data set may have made its targets out of its true swaps, as `pasted_faces` does.
        """
        if self.truth is None:
            return self.target
        return torch.where(self.knows.to(self.target.device)[:, None, None, None], self.truth, self.target)

    def select(self, rows: Tensor | slice) -> SwapInputs:
        """Some of the pairs."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        some: dict[str, Any] = {name: None if part is None else part[rows] for name, part in own.items()}
        return SwapInputs(**some)

    def with_self_pairs(self, count: int) -> SwapInputs:
        """The same with the first `count` pairs replaced by target, target and, as the true swap, target."""
        if not count:
            return self

        def first(own: Tensor | None, other: Tensor | None) -> Tensor | None:
            return None if own is None or other is None else torch.cat([other[:count], own[count:]])

        def before(mask: Tensor | None) -> Tensor | None:
            return None if mask is None else mask[:, :1].expand_as(mask)

        truth, source = first(self.truth, self.target), cast(Tensor, first(self.source, self.target))
        face, head = first(self.face, before(self.face)), first(self.head, before(self.head))
        return SwapInputs(self.target, source, self.knows, truth, face, head)

    @classmethod
    def cat(cls, parts: Sequence[SwapInputs]) -> SwapInputs:
        """Several as one, in order; what some do not know is zero there."""

        def joined(name: str) -> Tensor | None:
            known = next((value for part in parts if (value := getattr(part, name)) is not None), None)
            if known is None:
                return None
            empty = [known.new_zeros(len(part), *known.shape[1:]) for part in parts]
            own = [getattr(part, name) for part in parts]
            return torch.cat([zeros if value is None else value for value, zeros in zip(own, empty, strict=True)])

        joint: dict[str, Any] = {field.name: joined(field.name) for field in fields(cls)}
        return cls(**joint)


class _Stream(Protocol):
    def next(self) -> SwapInputs: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class _Place(NamedTuple):
    """Where a stream's batches go: this process among all, device and memory order."""

    rank: int
    world_size: int
    device: torch.device
    memory: torch.memory_format
    workers: int

    def sampler(self, length: int, count: int, seed: int) -> ShuffleSampler:
        return ShuffleSampler(length, count, seed, rank=self.rank, world_size=self.world_size)


class SwapData:
    """This process's batches for a swapper, from one data set or several, at a position that can be saved.

    Args:
        recipe: batch size, shares, seed.
        datasets: the data sets by name, the recipe's `data` first under the name "".
        rank: this process among `world_size`.
        world_size: processes that train together.
        device: where the batches go.

    Raises:
        ConfigError: a share that gives no whole number of pictures to every process and part of a batch.
    """

    def __init__(
        self,
        recipe: SwapperRecipe,
        datasets: dict[str, FaceDataset],
        rank: int,
        world_size: int,
        device: torch.device,
    ) -> None:
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        place = _Place(rank, world_size, device, memory, recipe.workers)
        counts = share_out(recipe, world_size)
        self._streams: dict[str, _Stream] = {}
        for number, (name, dataset) in enumerate(datasets.items()):
            seed = 2 * recipe.seed + 1_000_003 * number
            stream = _paired if knows_truth(dataset) else _Singles
            self._streams[name] = stream(dataset, counts[name], seed, place)
        own = [counts[name] // world_size for name in self._streams]
        # The streams take turns in a batch, so that each of its accumulated parts has some of every one.
        places = torch.cat([(torch.arange(count) + 0.5) / count for count in own])
        self._order = None if len(own) == 1 else places.argsort(stable=True)

    def next(self) -> SwapInputs:
        """The next batch.

        Raises:
            InputError: a data set cannot be read.
            WorkError: a reading process died.
        """
        parts = [stream.next() for stream in self._streams.values()]
        return parts[0] if self._order is None else SwapInputs.cat(parts).select(self._order)

    def state(self) -> dict[str, Any]:
        """The position after the batches handed out so far."""
        return {name: stream.state() for name, stream in self._streams.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Return to a position.

        Raises:
            CheckpointError: it is one of other data sets, shares, batch size or seed.
        """
        for name, stream in self._streams.items():
            stream.restore(state[name])


def share_out(recipe: SwapperRecipe, world_size: int) -> dict[str, int]:
    """Images of each data set in a batch, over all processes: `data`, under the name "", and those of `mix`.

    Raises:
        ConfigError: a share gives no image, or not as many for every process and part of a batch.
    """
    counts = {name: round(part.share * recipe.batch_size) for name, part in recipe.mix.items()}
    counts = {"": recipe.batch_size - sum(counts.values()), **counts}
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(
                f"the share of {name or 'data'!r} gives no picture in a batch of {recipe.batch_size}",
                hint="raise its share or batch_size",
            )
        share(count, world_size, recipe.accumulate, f"images of {name or 'data'!r} in")
    return counts


def knows_truth(dataset: FaceDataset) -> bool:
    """Whether a data set gives pairs with their true swap: its pictures have a `source` and a `truth`."""
    return {"source", "truth"} <= set(dataset[0])


class _Singles:
    """Targets and sources drawn from one data set, independently of each other."""

    def __init__(self, dataset: FaceDataset, count: int, seed: int, place: _Place) -> None:
        self._targets, self._sources = (
            Batches(
                dataset,
                place.sampler(len(dataset), count, each),
                place.device,
                workers=place.workers,
                memory_format=place.memory,
            )
            for each in (seed, seed + 1)
        )

    def next(self) -> SwapInputs:
        target, source = self._targets.next().images, self._sources.next().images
        return SwapInputs(target, source, torch.zeros(len(target), dtype=torch.bool))

    def state(self) -> dict[str, Any]:
        return {"targets": self._targets.state(), "sources": self._sources.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._targets.restore(state["targets"])
        self._sources.restore(state["sources"])


class _Pairs:
    """Pairs with their truth, read by index."""

    def __init__(self, dataset: FaceDataset, count: int, seed: int, place: _Place) -> None:
        pictures = cast("Dataset[dict[str, Any]]", dataset)
        sampler = place.sampler(len(dataset), count, seed)
        self._loader = Loader(pictures, sampler, workers=place.workers, pin_memory=place.device.type == "cuda")
        self._place = place

    def next(self) -> SwapInputs:
        return to_inputs(next(self._loader), self._place.device, self._place.memory)

    def state(self) -> dict[str, Any]:
        return self._loader.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._loader.restore(state)


class _Drawn:
    """Pairs that the data set draws on a GPU faster than a file could be read."""

    def __init__(self, dataset: Any, count: int, seed: int, place: _Place) -> None:
        self._dataset, self._place = dataset, place
        self._sampler: BatchSampler = place.sampler(len(dataset), count, seed)

    def next(self) -> SwapInputs:
        indices = self._sampler.batch_at(self._sampler.position)
        self._sampler.position += 1
        return to_inputs(self._dataset.batch(indices, self._place.device), self._place.device, self._place.memory)

    def state(self) -> dict[str, Any]:
        return self._sampler.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._sampler.restore(state)


def _paired(dataset: Any, count: int, seed: int, place: _Place) -> _Stream:
    draws = place.device.type == "cuda" and getattr(dataset, "draws_on_device", False)
    return _Drawn(dataset, count, seed, place) if draws else _Pairs(dataset, count, seed, place)


def to_inputs(batch: dict[str, Any], device: torch.device, memory: torch.memory_format) -> SwapInputs:
    """A batch of a data set with truth, uint8 as the data set gives it, as floats on a device."""
    on_device = {name: value.to(device, non_blocking=True) for name, value in batch.items() if name in _READ}
    target, source, truth = (
        to_float(on_device[name]).contiguous(memory_format=memory) for name in ("image", "source", "truth")
    )
    face, head = (on_device[name].float() / 255 if name in on_device else None for name in ("face", "head"))
    return SwapInputs(target, source, torch.ones(len(target), dtype=torch.bool), truth, face, head)


_READ = ("image", "source", "truth", "face", "head")
