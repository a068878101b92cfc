"""The factors of a FaceWorld picture: who it is, and everything else.

Shapes: B pictures, I identity, E expression, L light, K background factors.
Shape factors are in standard deviations, zero being the mean face; appearance factors are 0..1 unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError

SHAPE_FACTORS = (
    "cranium_width", "cranium_height", "face_width", "face_length", "jaw_width", "jaw_height", "chin_width",
    "chin_length", "chin_forward", "cheekbone_width", "cheek_fullness", "brow_ridge", "brow_height", "eye_spacing",
    "eye_size", "eye_slant", "eye_depth", "nose_length", "nose_width", "nose_bridge", "nose_tip", "mouth_width",
    "mouth_height", "lip_fullness", "ear_size", "ear_out", "neck_width",
)  # fmt: skip
"""Identity, shape: standard deviations from the mean face."""

APPEARANCE_FACTORS = (
    "skin_tone", "skin_warmth", "skin_redness", "lip_colour", "hair_lightness", "hair_redness", "hair_grey",
    "hair_volume", "hair_length", "hair_fringe", "hair_parting", "hair_bun", "hair_curl", "hairline", "eye_colour",
    "brow_thickness", "brow_darkness", "beard", "moustache", "freckles", "mark_size", "mark_x", "mark_y",
)  # fmt: skip
"""Identity, colouring and hair: 0..1, but `hair_parting`, `mark_x`, `mark_y` -1..1. A `hair_volume` of 0 is bald."""

IDENTITY_FACTORS = SHAPE_FACTORS + APPEARANCE_FACTORS
EXPRESSION_FACTORS = ("jaw_open", "smile", "pucker", "brow_raise", "brow_frown", "lids", "gaze_x", "gaze_y")
"""`jaw_open`, `pucker` 0..1; the others -1..1 (`lids`: -1 wide open, 0 at rest, 1 closed)."""

POSE_FACTORS = ("yaw", "pitch", "roll")
"""Radians. Positive yaw turns the nose to the right of the picture, pitch lifts it, roll tips the crown right."""

LIGHT_FACTORS = ("azimuth", "elevation", "key", "ambient", "warmth")
"""Direction of the key light (radians; 0, 0: from the camera), strengths of key and ambient, -1 cool .. 1 warm."""

BACKGROUND_FACTORS = (
    "top_red", "top_green", "top_blue", "bottom_red", "bottom_green", "bottom_blue",
    "blob1_x", "blob1_y", "blob1_size", "blob1_red", "blob1_green", "blob1_blue",
    "blob2_x", "blob2_y", "blob2_size", "blob2_red", "blob2_green", "blob2_blue",
    "cloth_red", "cloth_green", "cloth_blue", "shoulder_width", "collar",
)  # fmt: skip
"""Colours 0..1 (sRGB); positions and sizes in half widths of the picture, y upwards; `collar` 0 round .. 1 deep V."""


@dataclass(frozen=True)
class Factors:
    """All that one needs to draw B pictures.

    Attributes:
        identity: [B, I], see `IDENTITY_FACTORS`.
        expression: [B, E], see `EXPRESSION_FACTORS`.
        pose: [B, 3] radians: yaw, pitch, roll.
        light: [B, L], see `LIGHT_FACTORS`.
        background: [B, K], see `BACKGROUND_FACTORS`.

    Raises:
        ArgumentError: a tensor of another width, or tensors that disagree in B.
    """

    identity: Tensor
    expression: Tensor
    pose: Tensor
    light: Tensor
    background: Tensor

    def __post_init__(self) -> None:
        for name, names in NAMES.items():
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[1] != len(names) or value.shape[0] != self.identity.shape[0]:
                raise ArgumentError(
                    f"factors '{name}' have shape {tuple(value.shape)}",
                    f"expected [{self.identity.shape[0]}, {len(names)}]: {', '.join(names)}",
                    hint="Start from Factors.neutral(count) or FaceWorld.factors(indices).",
                )

    def __len__(self) -> int:
        return int(self.identity.shape[0])

    @classmethod
    def neutral(cls, count: int = 1) -> Factors:
        """The mean face, `count` times: frontal, at rest, in soft light, with short hair, before grey."""
        look = dict.fromkeys(APPEARANCE_FACTORS, 0.5) | dict.fromkeys(
            ("hair_parting", "hair_bun", "hair_grey", "hair_length", "hair_fringe", "beard", "moustache", "freckles",
             "mark_size", "mark_x", "mark_y"), 0.0)  # fmt: skip
        identity = torch.tensor([look.get(name, 0.0) for name in IDENTITY_FACTORS], dtype=torch.float32)
        light = torch.tensor([-0.5, 0.5, 0.7, 0.5, 0.1], dtype=torch.float32)
        background = torch.tensor(
            [
                0.6,
                0.65,
                0.7,
                0.5,
                0.52,
                0.55,
                0,
                0,
                0.3,
                0.6,
                0.6,
                0.6,
                0,
                0,
                0.3,
                0.6,
                0.6,
                0.6,
                0.25,
                0.3,
                0.4,
                1,
                0.3,
            ],
            dtype=torch.float32,
        )
        zeros = identity.new_zeros(count, len(EXPRESSION_FACTORS)), identity.new_zeros(count, 3)
        return cls(identity.repeat(count, 1), *zeros, light.repeat(count, 1), background.repeat(count, 1))

    def to(self, device: torch.device | str) -> Factors:
        """The same factors on another device, in one transfer, for which a GPU's queue is not waited for."""
        device = torch.device(device)
        whole = torch.cat([getattr(self, name) for name in NAMES], 1).to(device, non_blocking=device.type == "cuda")
        return Factors(*torch.split(whole, [len(names) for names in NAMES.values()], 1))

    def select(self, index: Tensor | Sequence[int] | slice) -> Factors:
        """Those of some pictures, in the order of `index`."""
        where = index if isinstance(index, slice | Tensor) else torch.as_tensor(list(index), dtype=torch.long)
        return Factors(*(getattr(self, name)[where] for name in NAMES))

    def with_(self, **values: float | Tensor) -> Factors:
        """A copy with named factors set, as in `face.with_(smile=0.8, yaw=-0.3)`.

        Raises:
            ArgumentError: a name that is no factor.
        """
        parts = {name: getattr(self, name).clone() for name in NAMES}
        for factor, value in values.items():
            for name, names in NAMES.items():
                if factor in names:
                    parts[name][:, names.index(factor)] = value
                    break
            else:
                known = ", ".join(factor for names in NAMES.values() for factor in names)
                raise ArgumentError(f"no factor is called '{factor}'", f"factors: {known}")
        return Factors(**parts)

    def columns(self) -> dict[str, Tensor]:
        """Every factor by name, each [B]."""
        return {
            factor: getattr(self, name)[:, column]
            for name, names in NAMES.items()
            for column, factor in enumerate(names)
        }

    @classmethod
    def cat(cls, parts: Sequence[Factors]) -> Factors:
        """Several batches as one, in order."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


NAMES = {
    "identity": IDENTITY_FACTORS,
    "expression": EXPRESSION_FACTORS,
    "pose": POSE_FACTORS,
    "light": LIGHT_FACTORS,
    "background": BACKGROUND_FACTORS,
}
"""The parts of `Factors` and the names of their columns."""


def true_swap(source: Factors, target: Factors) -> Factors:
    """The person of `source` in the picture of `target`: what a perfect swap of the two pictures shows.

    Args:
        source: B pictures, of which the identity is taken.
        target: B pictures, of which expression, pose, light and background are taken.

    Raises:
        ArgumentError: different numbers of pictures.
    """
    if len(source) != len(target):
        raise ArgumentError(f"{len(source)} source pictures for {len(target)} target pictures")
    return Factors(source.identity, target.expression, target.pose, target.light, target.background)
