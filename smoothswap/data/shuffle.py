"""Shuffled orders of which any place can be asked for on its own, without shuffling the rest.

A `numpy` permutation of a million pictures takes a million steps before its first entry is known. Here entry i follows
from i, the size and a key alone, by a Feistel network on a rectangle of about √size × √size: each round adds to one
coordinate a hash of the other, which is a permutation of the rectangle whatever the hash is. Places of the rectangle
beyond the size are walked through until one within is met (Black and Rogaway, "Ciphers with arbitrary finite domains",
2002).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.int64]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]

_ROUNDS = 16  # half of them change each coordinate; four suffice for a large size, but all 120 orders of 5 need these
_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio, so that consecutive words lie far apart
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # of SplitMix64's finaliser


def key_of(seed: int, *words: int | Integers) -> Keys:
    """Keys of independent orders: one for each combination of words.

    Args:
        seed: ≥ 0, of any size.
        words: integers ≥ 0, or arrays of them that broadcast.

    Returns:
        uint64, as the words broadcast, [1] for plain integers.
    """
    key = np.full(1, _STEP)
    while True:
        key = _mixed(key + np.uint64(seed % 2**64))
        seed >>= 64
        if not seed:
            break
    for word in words:
        key = _mixed(key + _mixed(np.atleast_1d(np.asarray(word)).astype(np.uint64) + _STEP))
    return key


def shuffled(places: Integers, size: int | Integers, key: Keys) -> Integers:
    """Entries of shuffled orders of 0 … size − 1.

    Args:
        places: [...] places asked for, each 0 … its size − 1.
        size: of the order that each place is of, ≥ 1; broadcasts with the places.
        key: names the orders (see `key_of`); broadcasts with the places.

    Returns:
        int64 [...]; for the places 0 … size − 1 of one size and key, every number below the size once.
    """
    shape = np.broadcast_shapes(np.shape(places), np.shape(size), key.shape)
    place = np.broadcast_to(np.asarray(places).astype(np.uint64), shape).ravel()
    sizes = np.broadcast_to(np.asarray(size).astype(np.uint64), shape).ravel()
    keys = np.broadcast_to(key, shape).ravel()
    height = np.ceil(np.sqrt(sizes.astype(np.float64))).astype(np.uint64)
    width = (sizes + height - np.uint64(1)) // height
    entries = _walked(place, height, width, keys)
    beyond = np.flatnonzero(entries >= sizes)
    while len(beyond):
        entries[beyond] = _walked(entries[beyond], height[beyond], width[beyond], keys[beyond])
        beyond = beyond[entries[beyond] >= sizes[beyond]]
    return entries.astype(np.int64).reshape(shape)


def _walked(place: Keys, height: Keys, width: Keys, key: Keys) -> Keys:
    """One application of the network; all [M]."""
    row, column = np.divmod(place, width)
    for number in range(_ROUNDS):
        key = key + _STEP
        # Eight bits less than the hash has: the sum must not wrap, or two coordinates could become one.
        if number % 2:
            column = (column + (_mixed(key + row) >> np.uint64(8))) % width
        else:
            row = (row + (_mixed(key + column) >> np.uint64(8))) % height
    return row * width + column


def _mixed(x: Keys) -> Keys:
    """SplitMix64's finaliser (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))
