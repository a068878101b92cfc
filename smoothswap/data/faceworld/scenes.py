"""The scenes of a population as a table, drawn when first asked for: a draw costs a tenth of a millisecond."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.data.faceworld.factors import NAMES, Factors
from smoothswap.data.faceworld.population import Population

_PARTS = tuple(name for name in NAMES if name != "identity")
_WIDTHS = [len(NAMES[name]) for name in _PARTS]


class Scenes:
    """Everything but the person, of `count` scenes: 156 bytes each.

    Args:
        population: whose scenes.
        count: N; scenes 0 to N - 1.
    """

    def __init__(self, population: Population, count: int) -> None:
        self._population = population
        self._rows = torch.empty(count, sum(_WIDTHS), dtype=torch.float32)
        self._known = bytearray(count)

    def __len__(self) -> int:
        return len(self._known)

    def factors(self, scenes: Tensor, identities: Tensor) -> Factors:
        """Scenes with people in them.

        Args:
            scenes: [B] long, 0 .. N - 1.
            identities: [B, I].
        """
        for scene in scenes.tolist():
            if not self._known[scene]:
                drawn = self._population.scene(scene, self._population.identities[0])
                self._rows[scene] = torch.cat([getattr(drawn, name)[0] for name in _PARTS])
                self._known[scene] = 1
        return Factors(identities, *torch.split(self._rows[scenes], _WIDTHS, 1))
