"""A tiny data set, so that a training of ten steps takes a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from smoothswap.core.catalogue import register
from smoothswap.core.config import Options, option
from smoothswap.training import Part

SIZE = 16


@register("test_colours", kind="dataset")
class Colours:
    """People are colours; each of their pictures is noisier than the last."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        image_size: int = option(SIZE, "side, pixels")
        people: int = option(6, "people")
        each: int = option(4, "pictures of each")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.people = config.people
        self.labels = torch.arange(config.people).repeat_interleave(config.each)
        self.groups = torch.arange(config.people) // 2

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        person, size = index // self.config.each, self.config.image_size
        colour = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(person))
        noise = torch.rand(3, size, size, generator=torch.Generator().manual_seed(100 + index))
        return {"image": (255 * (0.7 * colour + 0.3 * noise)).to(torch.uint8), "person": person}


@register("test_known_colours", kind="dataset")
class KnownColours(Colours):
    """The same, with the people's colours as what is known of them."""

    def __init__(self, config: Colours.Config) -> None:
        super().__init__(config)
        drawn = [torch.rand(3, generator=torch.Generator().manual_seed(person)) for person in range(config.people)]
        self.attributes = 4 * torch.stack(drawn) - 2


@register("test_true_swaps", kind="dataset")
class TrueSwaps:
    """Pairs with a truth that a test can check: the target, with the first channel of the source."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        image_size: int = option(SIZE, "side, pixels")
        pairs: int = option(12, "pairs")
        masks: bool = option(True, "give masks: the left half of target and truth is face, all of it head")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.people = config.pairs
        self.labels = torch.arange(config.pairs)

    def __len__(self) -> int:
        return self.config.pairs

    def __getitem__(self, index: int) -> dict[str, Any]:
        size = self.config.image_size
        noise = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1000 + index))
        target, source = (255 * noise).to(torch.uint8)
        item = {"image": target, "source": source, "truth": torch.cat([source[:1], target[1:]]), "person": index}
        if self.config.masks:
            head = torch.full((2, size, size), 255, dtype=torch.uint8)
            item |= {"face": head * (torch.arange(size) < size // 2), "head": head}
        return item


DATA = Part("test_colours")
KNOWN = Part("test_known_colours")
TRUE_SWAPS = Part("test_true_swaps")
