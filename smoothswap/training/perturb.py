"""Small random changes to swapped faces before the embedder sees them; differentiable, on the device.

An identity loss is easily pleased by patterns that this one embedder at this one place takes for a person. Moving and
tinting the image by a little, differently each time, leaves only what every placement of the face agrees on.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.modules.affine import resample_affine

_SHIFT, _SCALE, _COLOR = 0.06, 0.06, 0.4  # shares of the side, of the size, and in units of [-1, 1], at strength 1


def perturb(images: Tensor, strength: float) -> Tensor:
    """Mirror, shift, scale and tint each image on its own.

    Randomness comes from PyTorch's global generator, which the loop seeds anew at each step.

    Args:
        images: [B, 3, S, S] in [-1, 1].
        strength: 0 changes nothing, 1 most.

    Returns:
        [B, 3, S, S]; a tint may leave [-1, 1] a little.
    """
    if strength == 0:
        return images
    B = images.shape[0]
    draws = torch.rand(7, B, device=images.device, dtype=torch.float32)
    draws = draws.to(torch.promote_types(images.dtype, draws.dtype))
    signed = 2 * draws - 1
    moved = resample_affine(
        images,
        mirror=1 - 2 * (draws[0] < 0.5 * strength).to(draws),
        size=1 + strength * _SCALE * signed[1],
        shift=strength * _SHIFT * signed[2:4],
    )
    gains = 1 + strength * _COLOR * 0.5 * signed[4:7].T.reshape(B, 3, 1, 1)
    tinted: Tensor = (moved + 1) * gains - 1  # gains belong to light, which is 0 at black
    return tinted


def blur(images: Tensor, largest: float) -> Tensor:
    """Blur all images by one Gaussian: patterns of few pixels, which no person consists of, please no embedder then.

    Randomness comes from PyTorch's global generator, as above.

    Args:
        images: [B, C, H, W], H and W above 3 · `largest`.
        largest: the standard deviation, pixels, lies between half of it and it; 0 changes nothing.

    Returns:
        [B, C, H, W].

    Raises:
        ArgumentError: pictures too small for that blur.
    """
    if largest == 0:
        return images
    reach = math.ceil(3 * largest)
    if min(images.shape[2:]) <= reach:
        raise ArgumentError(
            f"pictures of {list(images.shape[2:])} pixels are too small for a blur of {largest:g} pixels",
            hint=f"choose a smaller blur_identity, or pictures of more than {reach} pixels",
        )
    deviation = largest * (1 + torch.rand((), device=images.device, dtype=torch.float32)) / 2
    place = torch.arange(-reach, reach + 1, device=images.device, dtype=torch.float32)
    weights = torch.exp(-(place / deviation).square() / 2)
    row = (weights / weights.sum()).to(images).view(1, 1, 1, -1).expand(images.shape[1], -1, -1, -1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    across = F.conv2d(padded, row, groups=images.shape[1])
    return F.conv2d(across, row.transpose(2, 3), groups=images.shape[1])
