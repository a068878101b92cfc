"""Everything that lies on the skin: eyes, brows, lips, beard, freckles; and the strands of the hair.

Shapes: B heads, N surface points in head space. Features are painted by the front view of the head, so they follow it
when it turns. Colours are linear light [B, 3, N].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothswap.data.faceworld import palette
from smoothswap.data.faceworld.anatomy import EYE_Y
from smoothswap.data.faceworld.constants import constant

Columns = Mapping[str, Tensor]
"""Factors or places by name, each [B, 1]."""


@dataclass
class Paint:
    """What light needs to know of the surface.

    Attributes:
        colour: [B, 3, N] albedo, linear.
        gloss: [B, N] strength of the highlight, 0..1.
        occlusion: [B, N] 0..1, light that painted hollows keep (mouth, lids).
    """

    colour: Tensor
    gloss: Tensor
    occlusion: Tensor

    def over(self, colour: Tensor, cover: Tensor) -> None:
        """Lays `colour` ([B, 3, 1] or [B, 3, N]) on by `cover` [B, N]."""
        self.colour = torch.lerp(self.colour, colour.expand_as(self.colour), cover.unsqueeze(1))


def _edge(value: Tensor, width: float) -> Tensor:
    """0 where `value` is well below zero, 1 well above, soft over `width`."""
    return (value * (1 / width) + 0.5).clamp_(0, 1)


def _dot(x: Tensor, y: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """A soft spot: 1 in the middle, 0 outside the ellipse, smooth."""
    return (1 - (x / rx).square() - (y / ry).square()).relu_().square_()


def paint_skin(c: Columns, p: Columns, points: Tensor, pixel: float) -> Paint:
    """The face's paint.

    Args:
        c: factors by name, [B, 1] each.
        p: places by name, [B, 1] each.
        points: [B, 3, N].
        pixel: side of a fine pixel, half widths of the picture: lines are never thinner.
    """
    x, y, z = points.unbind(1)
    side = x.abs()
    front = _edge(z - 0.12, 0.1)
    flat = {name: value[:, 0] for name, value in c.items()}
    base = palette.skin(flat)
    paint = Paint(base.unsqueeze(-1).expand(-1, -1, x.shape[1]), torch.full_like(x, 0.22), torch.ones_like(x))
    _complexion(paint, c, p, x, y, side, front)
    _beard(paint, c, p, palette.hair(flat), x, y, z)
    _lips(paint, c, p, palette.lips(flat, base), x, y, side, front, pixel)
    _eyes(paint, c, p, palette.iris(flat), x, y, side, front, pixel)
    _brows(paint, c, p, palette.hair(flat), x, y, side, front, pixel)
    return paint


def _complexion(paint: Paint, c: Columns, p: Columns, x: Tensor, y: Tensor, side: Tensor, front: Tensor) -> None:
    """Blush, shaded eye sockets, freckles, a mark, nostrils, fine mottling."""
    colour = paint.colour
    red = (0.35 + 0.65 * c["skin_redness"]) * front
    blush = (
        _dot(side - 0.27, y + 0.22, 0.22, 0.17)
        + 0.9 * _dot(x, y - p["nose_y"], 0.12, 0.10)
        + 0.4 * _dot(x, y - p["chin_y"] - 0.08, 0.14, 0.1)
    )
    amount = (0.34 * red * blush).unsqueeze(1)
    paint.colour = colour * (1 - amount * constant(colour, 0.05, 0.62, 0.55).view(1, 3, 1))
    mottle = 1 + 0.025 * torch.sin(31 * x + 5 * torch.sin(17 * y)) * torch.sin(29 * y + 4 * torch.sin(13 * x))
    ring = 0.22 * front * _dot(side - p["eye_x"] + 0.02, y - EYE_Y + 0.02, 0.19, 0.14)
    paint.colour = paint.colour * (mottle * (1 - ring)).unsqueeze(1)
    speckle = torch.sin(118 * x + 3 * torch.sin(29 * y)) * torch.sin(109 * y + 3 * torch.sin(31 * x))
    freckles = (
        c["freckles"]
        * front
        * _edge(speckle - 0.35, 0.5)
        * (1.3 * _dot(side - 0.18, y + 0.14, 0.34, 0.26)).clamp_(max=1)
    )
    spot = 0.02 + 0.035 * c["mark_size"]
    mark = (
        front
        * (c["mark_size"] > 0.02)
        * (2.2 * _dot(x - 0.33 * c["mark_x"], y + 0.22 - 0.45 * c["mark_y"], spot, spot)).clamp_(max=1)
    )
    brown = paint.colour * constant(paint.colour, 0.46, 0.30, 0.24).view(1, 3, 1)
    paint.over(brown, (0.62 * freckles + mark).clamp_(max=1))
    nostril = (
        1.9 * _dot(side - 0.46 * p["nose_half"], y - p["nose_base"] - 0.022, 0.35 * p["nose_half"], 0.024)
    ).clamp_(max=1)
    paint.occlusion = paint.occlusion * (1 - 0.82 * front * nostril)
    under = _dot(x, y - p["nose_base"] + 0.005, 1.1 * p["nose_half"], 0.035)
    paint.occlusion = paint.occlusion * (1 - 0.30 * front * under)


def _beard(paint: Paint, c: Columns, p: Columns, hair: Tensor, x: Tensor, y: Tensor, z: Tensor) -> None:
    side = x.abs()
    grain = 0.90 + 0.14 * torch.sin(190 * x + 2 * torch.sin(37 * y)) * torch.sin(83 * y + 3 * torch.sin(61 * x))
    line = (
        p["mouth_y"] + 0.10 + 0.45 * (side - 0.26).clamp(min=0) + 1.6 * (side - 0.40).clamp(min=0)
    )  # upper edge on the cheeks
    jaw_only = _edge(y - p["chin_y"] + 0.045, 0.08) * _edge(z - 0.04, 0.12)
    around = _edge(1 - (x / 0.17).square() - ((y - p["mouth_y"]) / 0.085).square(), 0.9)  # the lips stay free
    jaw = _edge(line - y, 0.10) * jaw_only * (1 - around) * _edge(side - 0.02 + 3 * (p["mouth_y"] - y), 0.2)
    tache = _edge(
        1
        - (x / (1.25 * p["mouth_half"])).square()
        - ((y - 0.5 * (p["mouth_y"] + p["nose_base"]) - 0.005 + 0.10 * side) / 0.062).square(),
        0.8,
    )
    cover = torch.maximum(jaw * c["beard"], tache * c["moustache"] * _edge(z - 0.2, 0.1)) * grain
    paint.over(hair.unsqueeze(-1) * 1.1 + 0.004, (1.15 * cover).clamp_(0, 0.95))
    paint.gloss = paint.gloss * (1 - cover.clamp(0, 1))


def _lips(
    paint: Paint, c: Columns, p: Columns, lips: Tensor, x: Tensor, y: Tensor, side: Tensor, front: Tensor, pixel: float
) -> None:
    u = side / p["mouth_half"]
    inside = (1 - u.square()).clamp_(min=0)
    bend = (p["corner_y"] - p["mouth_y"]) * u.square()
    gap, lip = p["gap"], p["lip"]
    upper_in = p["mouth_y"] + bend - 0.10 * gap * inside  # lower edge of the upper lip
    lower_in = upper_in - 0.95 * gap * inside.sqrt()
    bow = inside * (1 - 0.32 * (1 - (u / 0.28).square()).relu_()) * (1.12 - 0.25 * u)
    upper_out = upper_in + 1.15 * lip * bow
    lower_out = lower_in - 1.35 * lip * inside.sqrt() * (1 - 0.12 * u)
    soft = max(0.014, 1.2 * pixel)
    within = front * _edge(1.03 - u, 0.08)
    cover = within * _edge(upper_out - y, soft) * _edge(y - lower_out, soft)
    paint.over(lips.unsqueeze(-1), 0.92 * cover)
    paint.gloss = paint.gloss + 0.30 * cover
    lower = _edge(upper_in - y, soft)
    paint.occlusion = paint.occlusion * (1 - 0.14 * cover * (1 - lower))
    hollow = within * _edge(upper_in - y, soft) * _edge(y - lower_in, soft) * (gap > 0.012)
    teeth = _edge(y - (upper_in - 0.062 - 0.012 * inside), soft) * _edge(0.80 - u, 0.25) * _edge(gap - 0.02, 0.02)
    mouth = constant(lips, 0.085, 0.018, 0.018).view(1, 3, 1)
    ivory = constant(lips, 0.74, 0.70, 0.62).view(1, 3, 1)
    tongue = 0.8 * _dot(x, y - lower_in, 0.12, 0.5 * gap + 0.01) * (1 - teeth)
    paint.over(
        torch.lerp(mouth.expand_as(paint.colour), lips.unsqueeze(-1) * 0.7, tongue.clamp(max=1).unsqueeze(1)), hollow
    )
    paint.over(ivory, hollow * teeth)
    seam = within * (1 - _edge((y - upper_in).abs() - 0.010, max(0.012, pixel)))
    paint.occlusion = paint.occlusion * (1 - (0.62 - 0.3 * teeth * (gap > 0.02)) * seam)


def _eyes(
    paint: Paint, c: Columns, p: Columns, iris: Tensor, x: Tensor, y: Tensor, side: Tensor, front: Tensor, pixel: float
) -> None:
    half = p["eye_half"]
    slant = 0.10 + 0.075 * c["eye_slant"]
    local = side - p["eye_x"]
    u = local / half
    rise = y - EYE_Y - slant * local
    inside = (1 - u.square()).clamp_(min=0)
    lids = c["lids"]
    open_ = (1 - lids.clamp(min=0)) * (1 - 0.25 * lids.clamp(max=0)) * (1 - 0.16 * c["smile"].clamp(min=0))
    upper = half * (0.47 * open_ - 0.16 * (1 - open_)) * inside.pow(0.72)
    lower = -half * (0.27 * (0.35 + 0.65 * open_) + 0.10 * (1 - open_)) * inside.pow(0.85)
    upper = torch.maximum(upper, lower)
    soft = max(0.010, pixel)
    within = front * (u.abs() < 1)
    eye = within * _edge(upper - rise, soft) * _edge(rise - lower, soft)
    white = constant(iris, 0.80, 0.77, 0.74).view(1, 3, 1)
    corner = 1 - 0.35 * u.square()
    paint.over(white * corner.unsqueeze(1), eye)
    flip = torch.sign(x)
    look_x = local - flip * 0.045 * c["gaze_x"]
    look_y = y - EYE_Y - 0.008 - 0.028 * c["gaze_y"]
    radius = (look_x.square() + look_y.square()).sqrt()
    disc = 0.053
    fibres = 0.85 + 0.5 * (radius / disc).square()
    rim = 1 - 0.72 * _edge(radius - 0.82 * disc, 0.016)
    paint.over(iris.unsqueeze(-1) * (fibres * rim).unsqueeze(1), eye * _edge(disc - radius, soft))
    paint.over(constant(iris, 0.006, 0.005, 0.005).view(1, 3, 1), eye * _edge(0.023 - radius, soft))
    shade = 0.42 * _edge(rise - upper + 0.030, 0.05)
    paint.occlusion = paint.occlusion * (1 - eye * shade)
    paint.gloss = paint.gloss * (1 - eye)
    glint = _edge(0.0125 - ((look_x + 0.018 * flip).square() + (look_y - 0.019).square()).sqrt(), max(0.010, pixel))
    paint.over(constant(iris, 1.6, 1.6, 1.6).view(1, 3, 1), eye * glint * 0.95)
    lash_width = (0.016 + 0.010 * u.clamp(-1, 1)) * (0.8 + 0.4 * inside)
    reach = front * _edge(1.06 - u.abs(), 0.08)
    lash = reach * (1 - _edge((rise - upper - 0.004).abs() - 0.6 * lash_width, max(0.012, pixel)))
    dark = constant(iris, 0.018, 0.012, 0.010).view(1, 3, 1)
    paint.over(dark, (0.88 * lash).clamp_(0, 1))
    rim_low = reach * (1 - _edge((rise - lower + 0.003).abs() - 0.005, max(0.012, pixel)))
    paint.occlusion = paint.occlusion * (1 - 0.32 * rim_low)
    crease_at = half * (0.47 * open_.clamp(min=0.5) + 0.20) * inside.pow(0.6) + 0.004
    crease = front * _edge(1.0 - u.abs(), 0.3) * (1 - _edge((rise - crease_at).abs() - 0.004, 0.022))
    paint.occlusion = paint.occlusion * (1 - 0.30 * crease)


def _brows(
    paint: Paint, c: Columns, p: Columns, hair: Tensor, x: Tensor, y: Tensor, side: Tensor, front: Tensor, pixel: float
) -> None:
    reach = 1.35 * p["eye_half"]
    u = (side - p["eye_x"] + 0.006) / reach  # -1 at the nose, 1 at the temple
    frown = c["brow_frown"]
    arch = 0.030 * (1 - (u - 0.25).square()) - 0.045 * frown * (0.5 - 0.5 * u).clamp(0, 1.2)
    centre = p["brow_y"] + 0.005 + arch
    thick = (0.013 + 0.022 * c["brow_thickness"]) * (1.05 - 0.45 * u).clamp(0.25, 1.4)
    strokes = 0.92 + 0.14 * torch.sin(260 * x + 90 * y * torch.sign(x))
    cover = front * _edge(1 - u.abs(), 0.22) * _edge(thick - (y - centre).abs(), max(0.018, 1.2 * pixel))
    darkness = 0.45 + 0.55 * c["brow_darkness"]
    paint.over(hair.unsqueeze(-1) * 0.75, (darkness * cover * strokes).clamp_(0, 1))


def paint_hair(c: Columns, points: Tensor) -> tuple[Paint, Tensor]:
    """Strands running down from the crown, and how they bend the normal: (paint, sideways tilt [B, N])."""
    x, y, z = points.unbind(1)
    flat = {name: value[:, 0] for name, value in c.items()}
    base = palette.hair(flat).unsqueeze(-1)
    crown_z, crown_x = z + 0.25, x - 0.25 * c["hair_parting"] * _edge(y - 0.3, 0.6)
    angle = torch.atan2(crown_x, crown_z + 1e-4)
    fall = torch.sqrt(crown_x.square() + crown_z.square()) + 0.35 * y
    warp = angle * 5 + (0.12 + 0.5 * c["hair_curl"]) * torch.sin(5 * y + 2 * angle)
    strand = (
        torch.sin(3.1 * warp) * 0.35
        + torch.sin(8.3 * warp + 0.8 * torch.sin(4 * fall)) * 0.3
        + torch.sin(19 * warp + 0.5) * 0.35
    )
    curls = torch.sin(38 * x + 3 * torch.sin(21 * y)) * torch.sin(36 * y + 3 * torch.sin(23 * z)) * torch.cos(30 * z)
    texture = torch.lerp(strand, curls, c["hair_curl"])
    paint = Paint(
        base * (1 + 0.34 * texture).unsqueeze(1),
        (0.30 + 0.2 * texture) * (1 - 0.6 * c["hair_curl"]),
        torch.ones_like(x),
    )
    return paint, texture
