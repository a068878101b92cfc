"""Sphere tracing in two levels: coarse cones find where the head begins, fine rays finish.

Shapes: B heads, M coarse rays, N fine rays. Rays run along -z of the camera from z = NEAR.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smoothswap.data.faceworld.camera import grid, to_head
from smoothswap.data.faceworld.field import Head, distance

NEAR, FAR = 1.15, -1.15
COARSE_STEPS, FINE_STEPS, LATE_STEPS = 8, 3, (3, 4, 12)
LONGEST = 2.5
"""How many times the field's distance a ray may advance where it has seen the field fall slowly."""

CELL = 4
"""Fine pixels along the side of a coarse cell."""


@dataclass(frozen=True)
class Hits:
    """Where the rays meet the heads, packed to K, the largest number of hits of one head.

    Attributes:
        pixel: [B, K] index of the fine pixel, row by row; what is not valid repeats a pixel or is a miss.
        points: [B, 3, K] in head space.
        valid: [B, K] bool, false for padding and misses.
    """

    pixel: Tensor
    points: Tensor
    valid: Tensor


def _nearest(head: Head, points: Tensor) -> Tensor:
    skin, hair = distance(head, points)
    return torch.minimum(skin, hair)


def pack(active: Tensor, width: int | None = None) -> tuple[Tensor, Tensor]:
    """Indices of the true entries of [B, N], padded to K: ([B, K], valid [B, K]).

    Args:
        active: [B, N] bool.
        width: K, at least the largest count of a row; None takes that count, and waits for a GPU to tell it.
    """
    count = int(active.sum(1).max()) if width is None else width
    place = torch.where(active, active.cumsum(1) - 1, count)  # the others are written to one entry beyond
    index = torch.arange(active.shape[1], device=active.device).expand_as(place)
    order = place.new_zeros(place.shape[0], count + 1).scatter_(1, place, index)[:, :count]
    filled = torch.arange(count, device=active.device) < active.sum(1, keepdim=True)
    return order, filled


def trace(head: Head, turn: Tensor, size: int, tight: bool = True) -> Hits:
    """First surface along each ray of a `size` × `size` picture.

    Args:
        head: B heads.
        turn: [B, 3, 3].
        size: a multiple of CELL.
        tight: pack the rays anew whenever some have ended. That is the least work, in five waits for a GPU; without,
            there are two, and a few rays are carried along.
    """
    device = turn.device
    count = turn.shape[0]
    away = -turn[:, 2, :].unsqueeze(-1)  # [B, 3, 1]: the camera's -z in head space
    coarse = size // CELL
    x, y = grid(coarse, device)
    start = torch.stack([x, y, torch.full_like(x, NEAR)]).expand(count, -1, -1)
    origin = to_head(start, turn)
    radius = 1.5 / coarse  # a cell's half diagonal is 1.41 / coarse
    depth = torch.zeros(count, x.numel(), device=device, dtype=x.dtype)
    _march(head, origin, away, depth, COARSE_STEPS, radius)
    active = depth < NEAR - FAR

    fine_x, fine_y = grid(size, device)
    column = torch.arange(size, device=device) // CELL
    cell = (column.unsqueeze(1) * coarse + column).reshape(-1)
    pixel, valid = pack(active[:, cell])
    if pixel.shape[1] == 0:
        return Hits(pixel, origin.new_zeros(count, 3, 0), valid)
    reached = depth[:, cell].gather(1, pixel)
    origin = to_head(torch.stack([fine_x[pixel], fine_y[pixel], torch.full_like(reached, NEAR)], 1), turn)
    gap = _march(head, origin, away, reached, FINE_STEPS)
    tolerance = 0.5 / size  # a quarter of a fine pixel
    for stages in LATE_STEPS if tight else (LATE_STEPS,):  # the few rays that graze the head go on, the others rest
        kept, still = pack(valid & (gap.abs() > tolerance) & (reached < NEAR - FAR))
        if kept.shape[1] == 0:
            break
        late_origin = origin.gather(2, kept.unsqueeze(1).expand(-1, 3, -1))
        late, late_gap = reached.gather(1, kept), gap.gather(1, kept)
        if isinstance(stages, int):
            late_gap = _march(head, late_origin, away, late, stages)
        else:
            late, late_gap = _march_on(head, late_origin, away, late, late_gap, tolerance)
        here = torch.where(still, kept, reached.shape[1])
        reached, gap = _replace(reached, here, late), _replace(gap, here, late_gap)
    hit = valid & (gap.abs() < 8 * tolerance) & (reached < NEAR - FAR)
    points = origin + away * reached.unsqueeze(1)
    if not tight:
        return Hits(pixel, points, hit)
    kept, valid = pack(hit)
    return Hits(pixel.gather(1, kept), points.gather(2, kept.unsqueeze(1).expand(-1, 3, -1)), valid)


def _march_on(
    head: Head, origin: Tensor, away: Tensor, reached: Tensor, gap: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """`reached` and `gap` [B, N] after all of LATE_STEPS; a ray that has ended before a stage stays where it is."""
    for steps in LATE_STEPS:
        going = (gap.abs() > tolerance) & (reached < NEAR - FAR)
        further = reached.clone()
        last = _march(head, origin, away, further, steps)
        reached, gap = torch.where(going, further, reached), torch.where(going, last, gap)
    return reached, gap


def _march(head: Head, origin: Tensor, away: Tensor, reached: Tensor, steps: int, radius: float = 0.0) -> Tensor:
    """Moves `reached` [B, N] on along the rays until `radius` from the head, in place; returns the last gap [B, N].

    The field is too short far from small shapes; the secant through the last two gaps tells by how much.
    """
    gap = step = reached
    for number in range(steps):
        last, gap = gap, _nearest(head, origin + away * reached.unsqueeze(1))
        if radius:
            gap = (gap - radius).clamp_(min=0)
        if number:
            gain = step / (last - gap)
            step = gap * torch.where(gain > 0, gain, LONGEST).clamp_(1, LONGEST)
        else:
            step = gap
        reached += step
    return gap


def _replace(values: Tensor, where: Tensor, by: Tensor) -> Tensor:
    """`values` [B, N] with entries replaced; an index of N is dropped."""
    return torch.cat([values, values[:, :1]], 1).scatter_(1, where, by)[:, :-1].contiguous()
