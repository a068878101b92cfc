"""Changes to trees of JSON: another value, type or name somewhere, something gone, something more."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "none", "None", "nan", "-1", "0", "1e999", "9" * 5000, "a/b", "..", "\0", "é\n", "x" * 300, "\ud800"]
    ),
    st.text(max_size=6),
)
NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**63, 2**64, 10**30, -(2**63), 10**400]),
    st.sampled_from([0.0, -0.5, 0.5, 1e-30, 1e30, float("nan"), float("inf"), -float("inf")]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=3),
    st.dictionaries(st.text(max_size=4), LEAVES, max_size=2),
    st.builds(lambda: [[[]]]),
    st.builds(lambda: {"name": {"name": []}, "options": 3}),
)


@st.composite
def changed(draw: st.DrawFn, tree: Any, *, most: int = 3) -> Any:
    """A copy of `tree` with one to `most` changes."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(tree))
        if not places:
            return draw(VALUES)
        parent, key = places[draw(st.integers(0, len(places) - 1))]
        way = draw(st.sampled_from(["value", "value", "gone", "more", "renamed"]))
        if way == "value":
            parent[key] = draw(VALUES)
        elif way == "gone":
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, draw(st.one_of(st.just(copy.deepcopy(parent[key])), VALUES)))
        else:
            name = draw(TEXTS)
            parent[name] = draw(VALUES) if way == "more" else parent.pop(key)
    return tree


def _places(tree: Any) -> Any:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])
