"""The pairs of people that `smoothswap demo` swaps, none of them seen in training."""

from __future__ import annotations

import torch

from smoothswap.data.faceworld import Colouring, Factors, Population, swap_pairs

SPLITS = {"held_out_people": "held-out people", "held_out_groups": "held-out groups"}


def draw_pairs(pairs: int, seed: int, colouring: Colouring = "any") -> tuple[Factors, Factors]:
    """Sources and targets; pairs of held-out people and of held-out groups take turns."""
    drawn = [swap_pairs(Population(split=split), (pairs + 1) // 2, seed, colouring) for split in SPLITS]
    turns = torch.arange(2 * ((pairs + 1) // 2)).view(2, -1).T.flatten()[:pairs]
    source, target = (Factors.cat(side).select(turns) for side in zip(*drawn, strict=True))
    return source, target


def kinds_of_pairs(pairs: int) -> dict[str, list[int]]:
    """The kinds of pairs that are told apart, with the numbers of the pairs of each."""
    return {says: [n for n in range(pairs) if n % len(SPLITS) == place] for place, says in enumerate(SPLITS.values())}
