"""Swaps whose answer is known: FaceWorld pictures of source, target and true swap, and where to look in them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.data.faceworld import Factors, render, true_swap
from smoothswap.evaluation import fidelity
from smoothswap.modules.face_input import crop_window


@dataclass(frozen=True)
class Scene:
    """B swaps to be made, with their answer. Pictures are [B, 3, S, S] in [-1, 1], masks 0 or 1 [B, 1, S, S].

    Attributes:
        source: the people to put in.
        target: the pictures to put them into.
        truth: the true swaps.
        face: pixels that are face in the target or in the true swap.
        head: pixels that are head in the target or in the true swap.
        outline: pixels that are head in only one of the two, slightly grown.
        background: pixels that the head touches in neither.
    """

    source: Tensor
    target: Tensor
    truth: Tensor
    face: Tensor
    head: Tensor
    outline: Tensor
    background: Tensor

    def __len__(self) -> int:
        return len(self.source)


def draw_scene(source: Factors, target: Factors, size: int, supersample: int = 2, crop: FaceCrop = FFHQ) -> Scene:
    """Render B pairs of source and target, and their true swaps.

    Args:
        source: factors of B pictures.
        target: factors of B pictures.
        size: side of the pictures, pixels.
        supersample: subpixels per pixel side.
        crop: the part of a face that the pictures show.

    Raises:
        ArgumentError: different numbers of sources and targets.
    """
    window = crop_window(crop)
    before = render(target, size, supersample, window)
    after = render(true_swap(source, target), size, supersample, window)
    return Scene(
        source=render(source, size, supersample, window).image,
        target=before.image,
        truth=after.image,
        face=(fidelity.union(before.face, after.face) > 0.5).float(),
        head=(fidelity.union(before.head, after.head) > 0.5).float(),
        outline=fidelity.outline(before.head, after.head, margin=max(1, size // 64)),
        background=fidelity.background(before.head, after.head),
    )
