"""The fixed camera: orthographic, the picture spans -1..1 in x (right) and y (up), FFHQ framing.

It moves with the pose alone, never with the person, so a swap keeps the target's framing exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.data.faceworld.constants import constant

PIVOT = (0.0, -0.12, 0.22)
"""The point of the head that stays in place when it turns: between face and ears, as an aligned crop does."""


def rotation(pose: Tensor) -> Tensor:
    """[B, 3] yaw, pitch, roll in radians -> [B, 3, 3] from head space to the camera's."""
    yaw, pitch, roll = pose.unbind(-1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    turn = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).view(-1, 3, 3)
    nod = torch.stack([one, zero, zero, zero, cp, sp, zero, -sp, cp], -1).view(-1, 3, 3)
    tip = torch.stack([cr, sr, zero, -sr, cr, zero, zero, zero, one], -1).view(-1, 3, 3)
    return tip @ nod @ turn


def to_head(points: Tensor, turn: Tensor) -> Tensor:
    """Camera space -> head space: points [B, 3, N], turn [B, 3, 3]."""
    pivot = constant(points, *PIVOT).view(1, 3, 1)
    return turn.transpose(1, 2) @ (points - pivot) + pivot


def to_pixels(points: Tensor, turn: Tensor, size: int) -> Tensor:
    """Head space [B, M, 3] -> [B, M, 2] x, y in pixels of a picture of `size`; the first pixel's centre is (0, 0)."""
    pivot = constant(points, *PIVOT)
    placed = (points - pivot) @ turn.transpose(1, 2) + pivot
    x, y = placed[..., 0], placed[..., 1]
    return torch.stack([(x + 1) * 0.5 * size - 0.5, (1 - y) * 0.5 * size - 0.5], -1)


def grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres of the pixels: x and y in -1..1, each [size * size], row by row from the top."""
    centres = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(-centres, centres, indexing="ij")
    return x.reshape(-1), y.reshape(-1)
