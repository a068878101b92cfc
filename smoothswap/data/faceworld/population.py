"""Who lives in FaceWorld: people in groups that share colouring and hair, so that only their shape tells them apart.

Every draw is keyed by the seed and by what it is for, never by how many others there are: person 7 of group 3 is
the same in a world of ten people and in one of ten thousand.
"""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

import torch
from torch import Tensor

from smoothswap.core.errors import ConfigError
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.faceworld.factors import (
    APPEARANCE_FACTORS,
    BACKGROUND_FACTORS,
    EXPRESSION_FACTORS,
    SHAPE_FACTORS,
    Factors,
)

Split = Literal["train", "held_out_people", "held_out_groups"]
SPLITS: tuple[str, ...] = get_args(Split)
HELD_OUT = 1_000_000
"""Where the numbering of held-out people, and of held-out groups, begins."""
SPREAD, LIMIT = 1.25, 2.5
"""Standard deviation of the shape factors and where they are cut: wider than a real population."""


def _draws(*key: int | str) -> torch.Generator:
    """A generator of its own for every key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


class Population:
    """P = `groups` × `people_per_group` people.

    Attributes:
        identities: [P, I] identity factors, group by group.
        attributes: [P, I] the same, less their mean and in units of their deviation in this population.
        group: [P] long, index of each person's group, 0 .. groups - 1.

    Args:
        seed: of the whole world.
        groups: how many colourings.
        people_per_group: how many people share each.
        split: "train"; "held_out_people": others in the same groups; "held_out_groups": others in other groups.

    Raises:
        ConfigError: an unknown split or a count below 1.
    """

    def __init__(self, seed: int = 0, groups: int = 64, people_per_group: int = 8, split: str = "train") -> None:
        if split not in SPLITS:
            raise ConfigError(f"unknown split '{split}' of FaceWorld", hint=f"Use one of: {', '.join(SPLITS)}.")
        if groups < 1 or people_per_group < 1:
            raise ConfigError(f"a population of {groups} groups of {people_per_group} people", "both are at least 1")
        self.seed, self.split = seed, split
        first_group = HELD_OUT if split == "held_out_groups" else 0
        first_person = HELD_OUT if split == "held_out_people" else 0
        rows = []
        self.keys: list[tuple[int, int]] = []
        for group in range(first_group, first_group + groups):
            look = appearance(seed, group)
            for person in range(first_person, first_person + people_per_group):
                rows.append(torch.cat([shape(seed, group, person), look]))
                self.keys.append((group, person))
        self.identities = torch.stack(rows)
        deviation = self.identities.std(0, correction=0)  # 0 of what all people share, and of one person alone
        self.attributes = (self.identities - self.identities.mean(0)) / deviation.clamp_min(1e-3)
        self.group = torch.arange(groups).repeat_interleave(people_per_group)

    def __len__(self) -> int:
        return len(self.keys)

    def picture(self, person: int, number: int) -> Factors:
        """The factors of one picture of one person: B = 1.

        Args:
            person: 0 .. P - 1.
            number: which picture of that person, 0 upwards.
        """
        group, key = self.keys[person]
        return scene(_draws(self.seed, "picture", group, key, number), self.identities[person])

    def scene(self, number: int, identity: Tensor) -> Factors:
        """One scene of this split with any person in it: B = 1, of `identity` [I]. Those of `picture` are others."""
        return scene(_draws(self.seed, "scene", self.split, number), identity)


def shape(seed: int, group: int, person: int) -> Tensor:
    """Shape factors of one person."""
    return (
        torch.randn(len(SHAPE_FACTORS), generator=_draws(seed, "shape", group, person), dtype=torch.float32) * SPREAD
    ).clamp(-LIMIT, LIMIT)


def appearance(seed: int, group: int) -> Tensor:
    """Appearance factors that all people of a group share."""
    draws = _draws(seed, "appearance", group)

    def u(low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=draws, dtype=torch.float32))

    bearded = u() < 0.5  # such groups tend to short hair and heavy brows
    tone = u() ** 0.8
    look = {
        "skin_tone": tone,
        "skin_warmth": u(),
        "skin_redness": u(),
        "lip_colour": u(0.0, 0.5) if bearded else u(0.2, 1.0),
        "hair_lightness": u(0, 1.0) ** 1.3 * (1.0 if tone < 0.45 else 0.35),
        "hair_redness": u() if u() < 0.3 else u(0, 0.25),
        "hair_grey": u(0.5, 1.0) if u() < 0.15 else 0.0,
        "eye_colour": u() if tone < 0.5 else u(0, 0.35),
        "brow_thickness": u(0.35, 1.0) if bearded else u(0.0, 0.65),
        "brow_darkness": u(0.3, 1.0),
        "beard": u(0.3, 1.0) if bearded and u() < 0.6 else 0.0,
        "moustache": u(0.3, 1.0) if bearded and u() < 0.5 else 0.0,
        "freckles": u(0.4, 1.0) if tone < 0.5 and u() < 0.3 else 0.0,
        "mark_size": u(0.2, 1.0) if u() < 0.3 else 0.0,
        "mark_x": u(-1, 1),
        "mark_y": u(-1, 1),
        "hairline": u(),
        "hair_parting": u(-1, 1),
        "hair_curl": u(0.6, 1.0) if u() < 0.3 else u(0, 0.2),
        "hair_volume": u(0.12, 0.8),
        "hair_length": 0.0,
        "hair_fringe": 0.0,
        "hair_bun": 0.0,
    }
    style = u()
    if bearded and style < 0.2:
        look["hair_volume"] = 0.0
    elif style < (0.25 if bearded else 0.75):
        look["hair_length"] = u(0.3, 1.0)
    elif style > (0.95 if bearded else 0.88):
        look["hair_bun"] = u(0.8, 1.0)
    if look["hair_bun"] == 0.0 and u() < 0.35:
        look["hair_fringe"] = u(0.3, 0.9)
    return torch.tensor([look[name] for name in APPEARANCE_FACTORS], dtype=torch.float32)


def scene(draws: torch.Generator, identity: Tensor) -> Factors:
    """Everything but the person, drawn anew: B = 1, of `identity` [I]."""

    def u(low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=draws, dtype=torch.float32))

    def n(spread: float, limit: float) -> float:
        return max(-limit, min(limit, spread * float(torch.randn((), generator=draws, dtype=torch.float32))))

    speaking = u() < 0.45
    mood = {
        "jaw_open": u(0.08, 0.9) if speaking else 0.0,
        "smile": n(0.55, 1.0),
        "pucker": u(0.2, 1.0) if u() < 0.12 else 0.0,
        "brow_raise": n(0.45, 1.0),
        "brow_frown": n(0.4, 1.0),
        "lids": 1.0 if u() < 0.05 else n(0.22, 0.6),
        "gaze_x": n(0.35, 0.9),
        "gaze_y": n(0.25, 0.7),
    }
    pose = [n(0.26, 0.5), n(0.13, 0.3), n(0.05, 0.1)]
    light = [u(-1.1, 1.1), u(-0.1, 0.9), u(0.45, 0.95), u(0.32, 0.62), n(0.5, 1.0)]
    base, spread = [u(0.1, 0.9)] * 3, u(0.03, 0.25)

    def near(scale: float = 1.0) -> list[float]:
        return [max(0.02, min(0.98, value + u(-spread, spread) * scale + shift)) for value in base]

    values: dict[str, float] = {}
    for part in ("top", "bottom", "blob1", "blob2"):
        shift = u(-0.18, 0.18)
        for channel, value in zip(("red", "green", "blue"), near(), strict=True):
            values[f"{part}_{channel}"] = value
    for blob in ("blob1", "blob2"):
        values |= {f"{blob}_x": u(-1.1, 1.1), f"{blob}_y": u(-0.8, 1.1), f"{blob}_size": u(0.1, 0.6)}
    values |= {f"cloth_{channel}": u(0.04, 0.85) for channel in ("red", "green", "blue")}
    values |= {"shoulder_width": u(0.8, 1.3), "collar": u()}
    return Factors(
        identity.unsqueeze(0),
        torch.tensor([[mood[name] for name in EXPRESSION_FACTORS]], dtype=torch.float32),
        torch.tensor([pose], dtype=torch.float32),
        torch.tensor([light], dtype=torch.float32),
        torch.tensor([[values[name] for name in BACKGROUND_FACTORS]], dtype=torch.float32),
    )


Colouring = Literal["any", "same", "other", "alternating"]


@takes_numpy_scalars
def swap_pairs(
    population: Population, count: int, seed: int = 0, colouring: Colouring = "alternating"
) -> tuple[Factors, Factors]:
    """Sources and targets of different people.

    Args:
        population: at least two people; with one group, or one person a group, all pairs are of the kind it allows.
        count: of pairs.
        seed: of the choice of people and pictures.
        colouring: "any": two people drawn at random; "same": of one colour group, so that only shape tells them apart;
            "other": of two groups; "alternating": "same" and "other" by turns.

    Returns:
        (source, target), B = `count` each; pair k does not depend on `count`.

    Raises:
        ConfigError: fewer than two people, or a count below 1.
    """
    people = len(population)
    if people < 2 or count < 1:
        raise ConfigError(f"{count} pairs of different people from {people}", "at least 1 pair, from at least 2 people")
    sources, targets = [], []
    for pair in range(count):
        draws = _draws(population.seed, "pair", population.split, seed, pair)
        first = int(torch.randint(people, (), generator=draws))
        same = population.group == population.group[first]
        others = torch.ones(people, dtype=torch.bool)
        others[first] = False
        kind = ("same", "other")[pair % 2] if colouring == "alternating" else colouring
        wanted = others & {"any": others, "same": same, "other": ~same}[kind]
        choices = (wanted if bool(wanted.any()) else others).nonzero().flatten()
        second = int(choices[int(torch.randint(len(choices), (), generator=draws))])
        number = HELD_OUT + 2 * pair + 2_000_000 * seed  # pictures that no data set of moderate size holds
        sources.append(population.picture(first, number))
        targets.append(population.picture(second, number + 1))
    return Factors.cat(sources), Factors.cat(targets)
