"""Functions of the images seen: learning rate, and whether an interval has passed. They hold no state to save."""

from __future__ import annotations

import math

from smoothswap.training.recipes import TrainingRecipe


def learning_rate(recipe: TrainingRecipe, highest: float, images: int) -> float:
    """The learning rate of the step that starts after `images` images.

    It rises linearly over `warmup_images`, then follows `decay` down to `decay_floor` × highest at the recipe's end.

    Args:
        recipe: length and course.
        highest: the highest learning rate.
        images: images seen before this step.
    """
    warmup = min(recipe.warmup_images, recipe.images)
    if images < warmup:
        return highest * (images + 1) / (warmup + 1)
    if recipe.decay == "constant":
        return highest
    passed = min(1.0, (images - warmup) / max(1, recipe.images - warmup))
    left = 0.5 * (1 + math.cos(math.pi * passed)) if recipe.decay == "cosine" else 1 - passed
    return highest * (recipe.decay_floor + (1 - recipe.decay_floor) * left)


def passes(before: int, after: int, every: int) -> bool:
    """Whether a multiple of `every` images lies in (before, after]."""
    return after // every > before // every
