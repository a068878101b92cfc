"""Learning rate and intervals, by hand-computed values."""

from __future__ import annotations

import pytest

from smoothswap.training import EmbedderRecipe
from smoothswap.training.schedule import learning_rate, passes


@pytest.mark.parametrize(
    ("decay", "images", "rate"),
    [
        ("cosine", 0, 1 / 101),
        ("cosine", 50, 51 / 101),
        ("cosine", 100, 1.0),
        ("cosine", 600, 0.1 + 0.9 * 0.5),
        ("cosine", 1100, 0.1),
        ("cosine", 9999, 0.1),
        ("linear", 350, 0.1 + 0.9 * 0.75),
        ("constant", 1100, 1.0),
    ],
)
def test_learning_rate(decay: str, images: int, rate: float) -> None:
    recipe = EmbedderRecipe(images=1100, warmup_images=100, decay=decay, decay_floor=0.1)
    assert learning_rate(recipe, 1.0, images) == pytest.approx(rate)


def test_intervals_hold_whatever_the_batch_size() -> None:
    for batch in (1, 7, 100, 250):
        ticks = sum(passes(at, at + batch, 100) for at in range(0, 1000 - 1000 % batch, batch))
        assert ticks == min((1000 - 1000 % batch) // 100, 1000 // batch)
