"""Models with known answers: a generator that recites, and a judge that never errs on pictures it knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smoothswap.core.interfaces import FaceInput
from smoothswap.data.faceworld import Colouring, Factors, Population, swap_pairs
from smoothswap.evaluation import Scene, SwapReport, draw_scene, swap_report

SIZE, PAIRS = 32, 6


def pairs(colouring: Colouring = "any") -> tuple[Factors, Factors]:
    return swap_pairs(Population(groups=3, people_per_group=3, split="held_out_people"), PAIRS, 1, colouring)


def scene(colouring: Colouring = "any") -> Scene:
    return draw_scene(*pairs(colouring), size=SIZE, supersample=1)


def _known(pictures: Tensor, images: Tensor) -> Tensor:
    """Which of `pictures` [M, 3, S, S] each image [B, 3, S, S] is nearest to: [B]."""
    return (images[:, None] - pictures).square().mean(dim=(2, 3, 4)).argmin(dim=1)


class Recites(nn.Module):
    """A generator that gives, for each target it knows, the answer it was told."""

    image_size, identity_dim = SIZE, 4

    def __init__(self, targets: Tensor, answers: Tensor) -> None:
        super().__init__()
        self.register_buffer("targets", targets)
        self.register_buffer("answers", answers)

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        assert identity.shape[0] == target.shape[0]
        return self.answers[_known(self.targets, target)]


class Knows(nn.Module):
    """An embedder that gives the person in the nearest of the pictures it knows."""

    expects = FaceInput("ffhq", SIZE)

    def __init__(self, pictures: Tensor, people: Tensor) -> None:
        super().__init__()
        self.register_buffer("pictures", pictures)
        self.register_buffer("people", nn.functional.normalize(people, dim=1))
        self.dim = people.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.people[_known(self.pictures, images)]


def knowing_judge(colouring: Colouring = "any") -> Knows:
    """A judge that is right about every source, target and true swap."""
    world, (source, target) = scene(colouring), pairs(colouring)
    people = torch.cat([source.identity, target.identity, source.identity])
    return Knows(torch.cat([world.source, world.target, world.truth]), people)


def confused_judge() -> Knows:
    """A judge that takes every true swap for the target."""
    world, (source, target) = scene(), pairs()
    people = torch.cat([source.identity, target.identity, target.identity])
    return Knows(torch.cat([world.source, world.target, world.truth]), people)


def report(
    answers: Tensor, world: Scene, judge: nn.Module, colouring: Colouring = "any", **options: object
) -> SwapReport:
    """The report on a generator that answers the targets of `world` with `answers` [6, 3, 32, 32]."""
    embedder = Knows(world.source, torch.eye(PAIRS))
    generator = Recites(world.target, answers)
    return swap_report(generator, embedder, judge, *pairs(colouring), supersample=1, **options)  # type: ignore[arg-type]
