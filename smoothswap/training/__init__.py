"""Training of identity embedders and swappers, by recipe, on Lightning Fabric."""

# ruff: noqa: E402  (one sentence about what is missing comes before the imports that would fail)

from smoothswap.core.extras import require

require("train")

from smoothswap.training.embedder import train_embedder
from smoothswap.training.folder import moved_data, recipe_of_run
from smoothswap.training.loop import BestWeights, TrainResult
from smoothswap.training.named import is_recipe_file, recipe, recipe_names
from smoothswap.training.overrides import overrides_for_folder
from smoothswap.training.recipe_parts import DataShare, LossTerm, Part
from smoothswap.training.recipes import EmbedderRecipe, SwapperRecipe, load_recipe
from smoothswap.training.swapper import train_swapper

__all__ = [
    "recipe",
    "recipe_names",
    "is_recipe_file",
    "load_recipe",
    "overrides_for_folder",
    "recipe_of_run",
    "moved_data",
    "train_embedder",
    "train_swapper",
    "EmbedderRecipe",
    "SwapperRecipe",
    "Part",
    "LossTerm",
    "DataShare",
    "TrainResult",
    "BestWeights",
]
