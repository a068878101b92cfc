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


DATA = Part("test_colours")
