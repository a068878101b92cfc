"""Pictures of heads from factors: trace, paint, light, compose, average."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from smoothswap.core.errors import ArgumentError
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.faceworld import backdrop, camera, painting, shading
from smoothswap.data.faceworld.anatomy import Anatomy, build_anatomy
from smoothswap.data.faceworld.factors import Factors
from smoothswap.data.faceworld.field import surface, unit
from smoothswap.data.faceworld.tracing import CELL, Hits, pack, trace
from smoothswap.modules.face_input import WHOLE, resampling_matrix

RAYS_AT_ONCE = 65536
"""Fine rays in flight on a processor: more would leave its cache, fewer would cost calls."""

BYTES_PER_RAY = 1024
"""Memory that a fine ray takes at the most, about; a processor took 633 at 128 px with two rays along each side."""

MOST_RAYS = 2**23
"""Fine rays in flight on a GPU, however large: 128 pictures of 128 px with two rays along each side of a pixel."""


@dataclass(frozen=True)
class Rendered:
    """B pictures of S × S pixels with what is known of them.

    Attributes:
        image: [B, 3, S, S] RGB in [-1, 1].
        face: [B, 1, S, S] share of the pixel that is the face's skin, 0..1.
        head: [B, 1, S, S] share that is face, hair, ears or neck, 0..1.
        landmarks: [B, 5, 2] x, y in pixels (first centre at 0): eyes (left, right in the picture), nose
            tip, mouth corners.
    """

    image: Tensor
    face: Tensor
    head: Tensor
    landmarks: Tensor


@torch.no_grad()
@takes_numpy_scalars
def render(
    factors: Factors, size: int = 64, supersample: int = 2, window: tuple[float, float, float, float] = WHOLE
) -> Rendered:
    """Draws every picture of `factors`, on the device that holds them.

    Args:
        factors: B pictures.
        size: S, side of the pictures in pixels; `size * supersample` a multiple of 4.
        supersample: rays along each side of a pixel, about so many where `window` is a part.
        window: left, top, right and bottom edge of the part to draw, as shares of the whole picture's side.

    Raises:
        ArgumentError: a size, a supersample or a window that cannot be drawn.
    """
    if window != WHOLE:
        return _part(factors, size, supersample, window)
    if size < 8 or supersample < 1 or (size * supersample) % CELL:
        raise ArgumentError(
            f"cannot render {size} pixels with supersample {supersample}",
            f"size is at least 8, supersample at least 1, and their product a multiple of {CELL}",
        )
    device = factors.identity.device
    with torch.autocast(device.type, enabled=False):  # half precision is too coarse for where a surface lies
        return _render(factors, size, supersample, device)


def _part(factors: Factors, size: int, supersample: int, window: tuple[float, float, float, float]) -> Rendered:
    """A part of the picture: the whole of it with one ray a pixel, and enough of them, cut and shrunk."""
    left, top, right, bottom = window
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ArgumentError(f"cannot draw the part {window} of a picture", "left < right and top < bottom, in 0 … 1")
    fine = CELL * math.ceil(size * supersample / min(right - left, bottom - top) / CELL)
    drawn = render(factors, fine, 1)
    rows = resampling_matrix(fine, size, top * fine, bottom * fine).to(drawn.image)
    columns = resampling_matrix(fine, size, left * fine, right * fine).to(drawn.image)
    places = (drawn.landmarks + 0.5) / fine
    start, length = places.new_tensor([left, top]), places.new_tensor([right - left, bottom - top])
    with torch.autocast(drawn.image.device.type, enabled=False):  # half precision would lose grey levels
        image, face, head = (rows @ layer @ columns.T for layer in (drawn.image, drawn.face, drawn.head))
    return Rendered(image, face, head, (places - start) / length * size - 0.5)


def rays_at_once(device: torch.device) -> int:
    """Fine rays in flight: on a GPU an eighth of its memory, the same on every run with that GPU."""
    if device.type != "cuda":
        return RAYS_AT_ONCE
    memory = torch.cuda.get_device_properties(device).total_memory
    return min(MOST_RAYS, max(RAYS_AT_ONCE, memory // 8 // BYTES_PER_RAY))


def _tight(device: torch.device) -> bool:
    """Whether to do the least work, for which a GPU would have to be waited for."""
    return device.type != "cuda"


def _render(factors: Factors, size: int, supersample: int, device: torch.device) -> Rendered:
    chunk = max(1, rays_at_once(device) // (size * supersample) ** 2)
    if len(factors) == 0:
        empty = torch.zeros(0, 1, size, size, device=device, dtype=torch.float32)
        return Rendered(empty.expand(0, 3, size, size), empty, empty, empty.new_zeros(0, 5, 2))
    anatomy = build_anatomy(factors)
    slices = [slice(i, i + chunk) for i in range(0, len(factors), chunk)]
    parts = [_render_chunk(factors.select(part), anatomy.select(part), size, supersample) for part in slices]
    return Rendered(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _render_chunk(factors: Factors, anatomy: Anatomy, size: int, supersample: int) -> tuple[Tensor, ...]:
    """Image, face, head and landmarks of a few pictures, as in `Rendered`."""
    fine = size * supersample
    pixel = 2 / fine
    turn = camera.rotation(factors.pose)
    columns = {name: value.unsqueeze(-1) for name, value in factors.columns().items()}

    x, y = camera.grid(fine, factors.pose.device)
    canvas = backdrop.background(columns, x, y)
    cloth, cover = backdrop.clothes(columns, x, y, pixel)
    lit_cloth = cloth * (columns["key"] * 0.75 + columns["ambient"] * 0.75).unsqueeze(1)
    canvas = torch.lerp(canvas, lit_cloth, cover.unsqueeze(1))

    tight = _tight(canvas.device)
    hits = trace(anatomy.head, turn, fine, tight)
    count, rays = hits.pixel.shape
    face = canvas.new_zeros(count, fine * fine)
    head = canvas.new_zeros(count, fine * fine)
    if rays:
        colour, face_share, neck_share = _light_up(factors, anatomy, columns, turn, hits, fine, tight)
        front = hits.valid * (1 - neck_share * cover.gather(1, hits.pixel))
        index = torch.where(hits.valid, hits.pixel, fine * fine)  # padding is written to one entry beyond the picture
        head = _scatter(index, front, fine)
        face = _scatter(index, front * face_share, fine)
        drawn = _scatter(index.unsqueeze(1).expand(-1, 3, -1), colour, fine)
        canvas = torch.lerp(canvas, drawn, head.unsqueeze(1))

    layers = torch.cat([canvas.clamp(0, 4), face.unsqueeze(1), head.unsqueeze(1)], 1).view(count, 5, fine, fine)
    layers[:, :3] = tone(layers[:, :3])
    small = F.avg_pool2d(layers, supersample) if supersample > 1 else layers
    landmarks = camera.to_pixels(anatomy.landmarks(), turn, size)
    return small[:, :3] * 2 - 1, small[:, 3:4], small[:, 4:5], landmarks


def tone(linear: Tensor) -> Tensor:
    """Linear light to sRGB 0..1, with highlights rolled off instead of clipped."""
    rolled = torch.where(linear > 0.7, 0.7 + 0.3 * (1 - torch.exp(-(linear - 0.7) / 0.3)), linear)
    return rolled.clamp(1e-6, 1) ** (1 / 2.2)


def _scatter(index: Tensor, values: Tensor, fine: int) -> Tensor:
    """Values at their pixels, zero elsewhere: [B, ..., K] -> [B, ..., fine²]."""
    out = values.new_zeros(*values.shape[:-1], fine * fine + 1)
    return out.scatter_(-1, index, values)[..., :-1]


def _light_up(
    factors: Factors, anatomy: Anatomy, c: dict[str, Tensor], turn: Tensor, hits: Hits, fine: int, tight: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour [B, 3, K], share of face skin [B, K] and of neck [B, K] at the hits."""
    points, pixel = hits.points, 2 / fine
    known = surface(anatomy.head, points)
    places = {name: value.unsqueeze(-1) for name, value in anatomy.places.items()}
    is_hair = ((known.skin - known.hair) / (1.5 * pixel) + 0.5).clamp(0, 1)
    skin = painting.paint_skin(c, places, points, pixel)
    hair, texture = painting.paint_hair(c, points)
    mix = is_hair.unsqueeze(1)
    rough = torch.stack([texture, 0.3 * texture, 0.3 * texture], 1) * (0.16 + 0.35 * c["hair_curl"].unsqueeze(1))
    normal = torch.lerp(known.skin_normal, unit(known.hair_normal + rough), mix)
    normal = unit(normal)
    paint = painting.Paint(
        torch.lerp(skin.colour, hair.colour, mix),
        torch.lerp(skin.gloss, hair.gloss, is_hair),
        torch.lerp(skin.occlusion, hair.occlusion, is_hair),
    )
    flat = factors.columns()
    towards = turn.transpose(1, 2) @ shading.light_direction(flat).unsqueeze(-1)
    ambient_open, lit = _soft_light(anatomy, hits, normal, towards, fine, tight)
    colour = shading.shade(
        paint,
        normal,
        towards,
        turn[:, 2, :].unsqueeze(-1),
        shading.light_colours(flat),
        turn[:, 1, :].unsqueeze(-1),
        ambient_open,
        lit,
        1 - is_hair,
    )
    neck, ear = _share(anatomy, known.shares, "neck"), _share(anatomy, known.shares, "ear")
    z = points[:, 2]
    face = (1 - is_hair) * (1 - neck) * (1 - ear) * ((z + 0.05) / 0.1).clamp(0, 1)
    return colour, face, neck * (1 - is_hair)


def _soft_light(
    anatomy: Anatomy, hits: Hits, normal: Tensor, towards: Tensor, fine: int, tight: bool
) -> tuple[Tensor, Tensor]:
    """Ambient and key light that reach the hits, [B, K] each, found at every second row and column.

    These shadows are soft, so the rays in between take the mean of their neighbours.
    """
    row, column, half = hits.pixel // fine, hits.pixel % fine, fine // 2
    some = hits.valid & (row % 2 == 0) & (column % 2 == 0)
    chosen, valid = pack(some, None if tight else min(half * half, some.shape[1]))
    if chosen.shape[1] == 0:
        return torch.ones_like(normal[:, 0]), torch.ones_like(normal[:, 0])
    wide = chosen.unsqueeze(1).expand(-1, 3, -1)
    open_, lit = shading.openness(anatomy.head, hits.points.gather(2, wide), normal.gather(2, wide), towards)
    cell = row // 2 * half + column // 2
    index = torch.where(valid, cell.gather(1, chosen), half * half)
    layers = torch.stack([open_, lit, torch.ones_like(lit)], 1)
    known = _scatter(index.unsqueeze(1).expand(-1, 3, -1), layers, half).reshape(-1, 3, half, half)
    near = F.avg_pool2d(known, 3, stride=1, padding=1)
    spread = torch.where(near[:, 2:] > 0, near[:, :2] / near[:, 2:].clamp(min=1e-6), 1.0).flatten(2)
    found = spread.gather(2, cell.unsqueeze(1).expand(-1, 2, -1))
    return found[:, 0], found[:, 1]


def _share(anatomy: Anatomy, shares: Tensor, part: str) -> Tensor:
    """[B, K] how far a point belongs to one part, sharpened to a soft yes or no."""
    chosen = torch.stack([shares[:, i] for i, name in enumerate(anatomy.skin_names) if name == part], 1)
    return ((chosen.sum(1) - 0.5) * 4 + 0.5).clamp(0, 1)
