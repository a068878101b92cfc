"""FaceWorld: rendered heads whose factors are known, so that the true swap of any two pictures exists."""

from __future__ import annotations

from smoothswap.data.faceworld.dataset import FaceWorld
from smoothswap.data.faceworld.factors import (
    APPEARANCE_FACTORS,
    BACKGROUND_FACTORS,
    EXPRESSION_FACTORS,
    IDENTITY_FACTORS,
    LIGHT_FACTORS,
    POSE_FACTORS,
    SHAPE_FACTORS,
    Factors,
    true_swap,
)
from smoothswap.data.faceworld.folder import write_folder
from smoothswap.data.faceworld.population import SPLITS, Colouring, Population, swap_pairs
from smoothswap.data.faceworld.renderer import Rendered, render

__all__ = [
    "FaceWorld",
    "Factors",
    "Population",
    "Rendered",
    "render",
    "Colouring",
    "swap_pairs",
    "true_swap",
    "write_folder",
    "IDENTITY_FACTORS",
    "SHAPE_FACTORS",
    "APPEARANCE_FACTORS",
    "EXPRESSION_FACTORS",
    "POSE_FACTORS",
    "LIGHT_FACTORS",
    "BACKGROUND_FACTORS",
    "SPLITS",
]
