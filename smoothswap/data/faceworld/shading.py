"""Light on skin and hair: a key light, an ambient sky, occlusion and a soft shadow. Linear light throughout."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from smoothswap.data.faceworld.constants import constant
from smoothswap.data.faceworld.field import Head, distance, unit
from smoothswap.data.faceworld.painting import Paint


def light_direction(c: Mapping[str, Tensor]) -> Tensor:
    """[B, 3] unit vector towards the key light, in camera space."""
    azimuth, elevation = c["azimuth"], c["elevation"]
    return torch.stack([azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()], -1)


def light_colours(c: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Colours of key and ambient light, [B, 3] each."""
    warm = c["warmth"].unsqueeze(-1)
    tint = constant(warm, 0.14, 0.02, -0.16)
    return c["key"].unsqueeze(-1) * (1 + warm * tint), c["ambient"].unsqueeze(-1) * (1 - 0.6 * warm * tint)


def openness(head: Head, points: Tensor, normal: Tensor, towards: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the sky and of the key light reaches the points: ([B, N], [B, N]), 0..1.

    Args:
        head: B heads.
        points: [B, 3, N] on the surface.
        normal: [B, 3, N].
        towards: [B, 3, 1] direction of the key light, in head space.
    """
    skin, hair = distance(head, points + 0.11 * normal)
    ambient = (torch.minimum(skin, hair) / 0.11).clamp_(0, 1)
    lit = torch.ones_like(ambient)
    for reach in (0.10, 0.22, 0.42):
        skin, hair = distance(head, points + 0.02 * normal + reach * towards)
        lit = torch.minimum(lit, (0.5 + torch.minimum(skin, hair) / (0.45 * reach)).clamp_(0, 1))
    return ambient, lit


def shade(
    paint: Paint,
    normal: Tensor,
    towards: Tensor,
    view: Tensor,
    colours: tuple[Tensor, Tensor],
    up: Tensor,
    ambient_open: Tensor,
    lit: Tensor,
    soft: Tensor,
) -> Tensor:
    """Linear colour [B, 3, N].

    Args:
        paint: albedo, gloss and painted occlusion.
        normal: [B, 3, N] in head space.
        towards: [B, 3, 1] direction of the key light, in head space.
        view: [B, 3, 1] direction of the camera, in head space.
        colours: key and ambient light, [B, 3] each.
        up: [B, 3, 1] the camera's up, in head space: the sky.
        ambient_open: [B, N] 0..1.
        lit: [B, N] 0..1.
        soft: [B, N] 1 for skin, whose lit edge glows red, 0 for hair.
    """
    key, ambient = (colour.unsqueeze(-1) for colour in colours)
    facing = (normal * towards).sum(1)
    sky = 0.72 + 0.28 * (normal * up).sum(1)
    wrap = constant(paint.colour, 0.34, 0.18, 0.13).view(1, 3, 1) * soft.unsqueeze(1) + 0.04
    diffuse = ((facing.unsqueeze(1) + wrap) / (1 + wrap)).clamp(min=0)
    glow = lit.unsqueeze(1) ** (1 - 0.45 * constant(paint.colour, 1.0, 0.25, 0.1).view(1, 3, 1) * soft.unsqueeze(1))
    half = towards + view
    half = unit(half)
    shine = (normal * half).sum(1).clamp(min=0)
    facing_view = (normal * view).sum(1).clamp(0, 1)
    rim = (1 - facing_view) ** 4
    spark = paint.gloss * (0.5 * shine**12 + 0.35 * shine**40) * lit
    hollow = (0.30 + 0.70 * ambient_open) * paint.occlusion
    received = key * diffuse * glow * paint.occlusion.sqrt().unsqueeze(1) + ambient * (sky * hollow).unsqueeze(1)
    return (
        paint.colour * received * 1.12 + 0.30 * key * spark.unsqueeze(1) + 0.05 * ambient * (rim * hollow).unsqueeze(1)
    )
