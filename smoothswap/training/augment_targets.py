"""Random changes of targets, the same of their true swaps: other cameras, light and framing than the photographs have.

A generator that has seen few photographs draws badly on others: in darker skin, in harder light, in sharper pictures.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.modules.affine import resample_affine
from smoothswap.modules.luma import luma
from smoothswap.ops.layout import memory_format
from smoothswap.training.swap_inputs import SwapInputs

# At strength 1. Standard deviations: of the logarithm of gamma and of a colour channel's gain.
_GAMMA, _GAIN = 0.35, 0.15
# Largest changes: of saturation, ±; of fine detail, taken away and added.
_SATURATION, _SOFTER, _SHARPER = 0.8, 0.6, 0.8
# Largest changes: turn in degrees, size as a share, shift as a share of the side.
_TURN, _SIZE, _SHIFT = 10.0, 0.1, 0.05


def augment_targets(inputs: SwapInputs, strength: float) -> SwapInputs:
    """Turn, scale and shift each pair's target, true swap and masks; change gamma, colour and sharpness.

    Sources stay as they are. Randomness comes from PyTorch's global generator, which the loop seeds anew at each step.

    Args:
        inputs: B pairs.
        strength: 0 changes nothing, 1 most.
    """
    if strength == 0 or not len(inputs):
        return inputs
    target, truth = inputs.target, inputs.truth
    B = len(target)
    uniform = 2 * torch.rand(6, B, dtype=torch.float32) - 1
    normal = torch.randn(4, B, dtype=torch.float32)
    uniform, normal = uniform.to(target.device) * strength, normal.to(target.device) * strength
    parts = [part for part in (target, truth, inputs.face, inputs.head) if part is not None]
    together = resample_affine(
        torch.cat(parts, 1),
        angle=math.radians(_TURN) * uniform[0],
        size=1 + _SIZE * uniform[1],
        shift=_SHIFT * uniform[2:4],
        mode="bicubic",
    )
    moved = iter(torch.split(together, [part.shape[1] for part in parts], 1))
    gamma = (_GAMMA * normal[0]).exp().view(B, 1, 1, 1)
    gains = (_GAIN * normal[1:]).exp().T.reshape(B, 3, 1, 1)
    saturation = (1 + _SATURATION * uniform[4]).view(B, 1, 1, 1)
    detail = torch.where(uniform[5] < 0, _SOFTER * uniform[5], _SHARPER * uniform[5]).view(B, 1, 1, 1)

    def picture() -> Tensor:
        x = next(moved)
        x = x + detail * (x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1))
        light = ((x.clamp(-1, 1) + 1) / 2) ** gamma * gains
        grey = luma(light)
        changed: Tensor = 2 * (grey + saturation * (light - grey)).clamp(0, 1) - 1
        return changed.contiguous(memory_format=memory_format(inputs.target))

    target = picture()
    return replace(
        inputs,
        target=target,
        truth=None if truth is None else picture(),
        face=None if inputs.face is None else next(moved),
        head=None if inputs.head is None else next(moved),
    )
