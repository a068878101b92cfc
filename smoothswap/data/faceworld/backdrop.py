"""What lies behind and below the head: a soft background, and shoulders in clothes.

Both belong to the picture, not to the person.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from smoothswap.data.faceworld import palette


def _colour(c: Mapping[str, Tensor], name: str) -> Tensor:
    """[B, 3, 1], linear light."""
    return palette.to_linear(torch.stack([c[f"{name}_{channel}"] for channel in ("red", "green", "blue")], 1))


def background(c: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """A gradient with two soft blobs: [B, 3, N] linear light at x, y [N]; factors are [B, 1] each."""
    slope = (0.5 - 0.5 * y).clamp(0, 1)
    colour = torch.lerp(_colour(c, "top"), _colour(c, "bottom"), slope * slope * (3 - 2 * slope))
    for blob in ("blob1", "blob2"):
        away = ((x - c[f"{blob}_x"]).square() + (y - c[f"{blob}_y"]).square()).sqrt()
        cover = ((c[f"{blob}_size"] - away) / 0.16 + 0.5).clamp(0, 1).unsqueeze(1)
        colour = torch.lerp(colour, _colour(c, blob).expand_as(colour), 0.75 * cover)
    return colour


def clothes(c: Mapping[str, Tensor], x: Tensor, y: Tensor, pixel: float) -> tuple[Tensor, Tensor]:
    """Shoulders and collar: linear colour [B, 3, N], and cover [B, N] in 0..1.

    The neck is drawn behind the cover, the chin and the hair in front of it.
    """
    centre = -0.30 * c["yaw"].sin()  # the body follows a turning head, which an aligned crop keeps in the middle
    side = (x - centre).abs()
    opening = 0.30 - 0.02 * c["collar"]
    shoulder = -0.80 - 0.10 * c["pitch"] - 0.26 * ((side - opening).clamp(min=0) / c["shoulder_width"]).pow(1.1)
    depth = (1 - (side / opening).square()).clamp(min=0).sqrt() * (0.06 + 0.02 * c["collar"])
    vee = (opening - side).clamp(min=0) * 1.1
    neckline = shoulder - torch.lerp(depth * 2.2, vee, c["collar"])
    cover = ((neckline - y) / (1.5 * pixel) + 0.5).clamp(0, 1)
    hem = 1 - 0.35 * ((y - neckline + 0.055) / 0.02).clamp(0, 1) * (side < opening + 0.02)
    fold = 0.86 + 0.14 * torch.sin(7 * (x - centre) + 5 * y) * torch.sin(3 * y + 1.0)
    drop = (1 - 0.9 * (side - 0.15).clamp(min=0) * 0.5).clamp(0.2, 1)
    return _colour(c, "cloth") * (hem * fold * drop).unsqueeze(1), cover
