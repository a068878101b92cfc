"""Shuffled orders by place: permutations, each as likely as the next, and independent of one another."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothswap.data.shuffle import key_of, shuffled


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**80), word=st.integers(0, 2**62))
def test_every_number_comes_once(size: int, seed: int, word: int) -> None:
    order = shuffled(np.arange(size), size, key_of(seed, word))
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(size))


def test_a_place_does_not_depend_on_what_else_is_asked() -> None:
    key = key_of(5, 1)
    order = shuffled(np.arange(1000), 1000, key)
    assert np.array_equal(shuffled(np.array([[7, 999], [0, 7]]), 1000, key), order[[[7, 999], [0, 7]]])


def test_sizes_and_keys_broadcast() -> None:
    keys, sizes = key_of(3, np.arange(4))[:, None], np.array([5, 1, 9, 6])[:, None]
    orders = shuffled(np.arange(9) % sizes, sizes, keys)
    for row in range(4):
        size = int(sizes[row, 0])
        assert np.array_equal(orders[row], shuffled(np.arange(9) % size, size, key_of(3, row)))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_few_are_equally_likely(size: int) -> None:
    draws, freedom = 40_000, math.factorial(size) - 1
    orders = shuffled(np.arange(size)[None], size, key_of(7, np.arange(draws))[:, None])
    counts = Counter(map(tuple, orders.tolist()))
    expected = draws / (freedom + 1)
    chi_square = sum((counts[order] - expected) ** 2 / expected for order in permutations(range(size)))
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom), "four standard deviations"


@pytest.mark.parametrize("size", [9, 50, 362])
def test_all_pairs_of_neighbours_are_equally_likely(size: int) -> None:
    first, second = shuffled(np.arange(2)[:, None], size, key_of(1, np.arange(40_000))[None])
    table = np.zeros((size, size))
    np.add.at(table, (first, second), 1)
    assert not table.diagonal().any()
    expected, freedom = 40_000 / (size * (size - 1)), size * (size - 1) - 1
    chi_square = ((table - expected)[~np.eye(size, dtype=bool)] ** 2 / expected).sum()
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_a_large_order_looks_shuffled() -> None:
    size = 3_300_000
    order = shuffled(np.arange(20_000), size, key_of(0, 0)) / size
    assert np.histogram(order, 20, (0, 1))[0].std() < 4 * math.sqrt(1_000)
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 4 / math.sqrt(20_000)


def test_keys_of_other_words_differ() -> None:
    keys = {int(key_of(*words)[0]) for words in ((0, 1, 2), (0, 2, 1), (1, 1, 2), (2**64, 1, 2), (0, 12), (0, 1, 2, 0))}
    assert len(keys) == 6
