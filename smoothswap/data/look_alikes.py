"""Random orders of people in which those of a group stand together."""

from __future__ import annotations

import numpy as np

from smoothswap.data.shuffle import Integers, key_of, shuffled


class Runs:
    """Orders of people in which those of a group stand together in runs of a length.

    Args:
        groups: [people] group of each person.
        length: of a run; the last one of a group may be shorter.
    """

    def __init__(self, groups: Integers, length: int) -> None:
        self._people = np.argsort(groups, kind="stable")
        sizes = np.unique(groups, return_counts=True)[1]
        self._sizes = np.repeat(sizes, sizes)  # of the group of each person, by group
        self._first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        runs = -(-sizes // length)
        number = np.arange(runs.sum()) - np.repeat(np.cumsum(runs) - runs, runs)  # of each run within its group
        self._lengths = np.minimum(length, np.repeat(sizes, runs) - number * length)
        self._starts = np.cumsum(self._lengths) - self._lengths

    def order(self, seed: int, *words: int) -> Integers:
        """Everybody once: groups shuffled within, cut into runs, and the runs shuffled.

        Args:
            seed: decides the order, together with the words.
            words: integers ≥ 0; other ones give another order.

        Returns:
            int64 [people].
        """
        within = np.arange(len(self._people)) - self._first
        entry = shuffled(within, self._sizes, key_of(seed, *words, self._first + 1))
        people = self._people[self._first + entry]
        runs = shuffled(np.arange(len(self._lengths)), len(self._lengths), key_of(seed, *words, 0))
        lengths = self._lengths[runs]
        shift = self._starts[runs] - (np.cumsum(lengths) - lengths)
        ordered: Integers = people[np.arange(len(people)) + np.repeat(shift, lengths)]
        return ordered
