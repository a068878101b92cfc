"""Colours of skin, hair and eyes from factors, as linear light. All return [B, 3]."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from smoothswap.data.faceworld.constants import constant

SKIN = (
    (0.955, 0.800, 0.720),
    (0.905, 0.700, 0.590),
    (0.790, 0.560, 0.430),
    (0.600, 0.400, 0.290),
    (0.400, 0.255, 0.185),
)
HAIR = (
    (0.085, 0.075, 0.075),
    (0.220, 0.145, 0.100),
    (0.370, 0.235, 0.140),
    (0.560, 0.390, 0.220),
    (0.850, 0.700, 0.450),
)
IRIS = (
    (0.20, 0.11, 0.06),
    (0.36, 0.21, 0.09),
    (0.40, 0.36, 0.17),
    (0.33, 0.45, 0.32),
    (0.28, 0.45, 0.62),
    (0.48, 0.56, 0.62),
)


def to_linear(srgb: Tensor) -> Tensor:
    """From sRGB 0..1 to linear light, by the power 2.2."""
    return srgb.clamp(min=0) ** 2.2


def ramp(stops: tuple[tuple[float, float, float], ...], where: Tensor) -> Tensor:
    """Piecewise linear colour at `where` [B] in 0..1: [B, 3] sRGB."""
    table = constant(where, *(value for stop in stops for value in stop)).view(len(stops), 3)
    scaled = where.clamp(0, 1) * (len(stops) - 1)
    low = scaled.floor().clamp(max=len(stops) - 2)
    index = low.long()
    return torch.lerp(table[index], table[index + 1], (scaled - low).unsqueeze(-1))


def skin(c: Mapping[str, Tensor]) -> Tensor:
    """Skin from tone (0 light .. 1 dark) and warmth (0 pink .. 1 golden)."""
    warm = (c["skin_warmth"] - 0.5).unsqueeze(-1) * constant(c["skin_tone"], 0.01, 0.035, -0.09)
    return to_linear(ramp(SKIN, c["skin_tone"]) + warm)


def hair(c: Mapping[str, Tensor]) -> Tensor:
    """Hair from lightness (0 black .. 1 blond), redness and grey."""
    colour = ramp(HAIR, c["hair_lightness"])
    red = c["hair_redness"].unsqueeze(-1) * constant(colour, 0.30, -0.02, -0.06)
    light = colour + red * (0.25 + colour[:, :1])
    grey = colour.mean(-1, keepdim=True) * 0.5 + 0.40
    return to_linear(torch.lerp(light, grey * constant(colour, 1.0, 1.0, 1.03), c["hair_grey"].unsqueeze(-1)))


def iris(c: Mapping[str, Tensor]) -> Tensor:
    """Iris from 0 dark brown over hazel and green to 1 grey-blue."""
    return to_linear(ramp(IRIS, c["eye_colour"]))


def lips(c: Mapping[str, Tensor], skin_colour: Tensor) -> Tensor:
    """Lips: the skin, redder and darker by `lip_colour`."""
    red = c["lip_colour"].unsqueeze(-1)
    tint = constant(skin_colour, 0.86, 0.50, 0.50) - red * constant(skin_colour, 0.10, 0.24, 0.16)
    return skin_colour * tint + red * constant(skin_colour, 0.05, 0.0, 0.008)
