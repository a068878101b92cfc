"""From factors to shapes: where every part of a head lies, and the places that painting and landmarks need.

Units: half widths of the picture, in head space (x right in the picture, y up, z towards the camera of a frontal head).
On the mean face the eyes lie at (±0.24, 0.06) and the mouth corners at y -0.48, as in FFHQ crops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from smoothswap.data.faceworld.factors import Factors
from smoothswap.data.faceworld.field import Ellipsoids, Head, assemble, ellipsoids

EYE_Y = 0.06
Number = Tensor | float


@dataclass
class _Parts:
    """Collects shapes given by numbers or [B] tensors."""

    count: int
    names: list[str] = field(default_factory=list)
    rows: list[tuple[Number, ...]] = field(default_factory=list)

    def add(
        self,
        name: str,
        centre: tuple[Number, Number, Number],
        radii: tuple[Number, Number, Number],
        tilt: Number = 0.0,
        roll: Number = 0.0,
        height: Number = 0.0,
    ) -> None:
        self.names.append(name)
        self.rows.append((*centre, *radii, tilt, roll, height))

    def pair(
        self,
        name: str,
        centre: tuple[Number, Number, Number],
        radii: tuple[Number, Number, Number],
        tilt: Number = 0.0,
        roll: Number = 0.0,
        height: Number = 0.0,
    ) -> None:
        """One on the right of the picture as given, and its mirror image."""
        x, y, z = centre
        self.add(name, (x, y, z), radii, tilt, roll, height)
        self.add(name, (-x, y, z), radii, tilt, -roll, height)

    def build(self, like: Tensor) -> tuple[Ellipsoids, Tensor]:
        values = torch.stack(
            [
                torch.stack(
                    [(v if isinstance(v, Tensor) else like.new_full((), v)).expand(self.count) for v in row], -1
                )
                for row in self.rows
            ],
            1,
        )
        shapes = ellipsoids(values[..., :3], values[..., 3:6].clamp(min=0.01), values[..., 6], values[..., 7])
        return shapes, values[..., 8].contiguous()


@dataclass(frozen=True)
class Anatomy:
    """B heads ready to be drawn.

    Attributes:
        head: the solid.
        skin_names: the name of each of its skin ellipsoids.
        places: [B] each: positions and sizes on the face, by name.
    """

    head: Head
    skin_names: tuple[str, ...]
    places: Mapping[str, Tensor]

    def select(self, part: slice) -> Anatomy:
        """Some of the heads."""
        return Anatomy(
            self.head.select(part), self.skin_names, {name: place[part] for name, place in self.places.items()}
        )

    def landmarks(self) -> Tensor:
        """[B, 5, 3] in head space: left and right eye in the picture, nose tip, left and right mouth corner."""
        p = self.places
        rows = [
            (-p["eye_x"], p["eye_y"], p["eye_z"]),
            (p["eye_x"], p["eye_y"], p["eye_z"]),
            (torch.zeros_like(p["eye_x"]), p["nose_y"], p["nose_z"]),
            (-p["mouth_half"], p["corner_y"], p["mouth_z"] - 0.08),
            (p["mouth_half"], p["corner_y"], p["mouth_z"] - 0.08),
        ]
        return torch.stack([torch.stack(row, -1) for row in rows], 1)


def build_anatomy(factors: Factors) -> Anatomy:
    """Shapes and places of every head in `factors`."""
    c = factors.columns()
    like = factors.identity
    places = _places(c)
    skin, _ = (parts := _skin(c, places, len(factors))).build(like)
    bumps, heights = _bumps(c, places, len(factors)).build(like)
    hair, _ = _hair(c, places, len(factors)).build(like)
    return Anatomy(assemble(skin, hair, bumps, heights), tuple(parts.names), places)


def _places(c: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The measures that several parts share."""
    stretch = 1 + 0.07 * c["face_length"]  # of everything below the eyes
    jaw = c["jaw_open"].clamp(0, 1)
    smile, pucker = c["smile"], c["pucker"].clamp(0, 1)
    mouth_y = EYE_Y - (0.53 + 0.022 * c["mouth_height"]) * stretch
    half = (0.205 + 0.022 * c["mouth_width"]) * (1 + 0.16 * smile.clamp(min=0) - 0.05 * smile.clamp(max=0).abs())
    half = half * (1 - 0.3 * pucker) * (1 - 0.08 * jaw)
    gap = 0.15 * jaw + 0.02 * smile.clamp(min=0)
    nose_length = 0.31 * stretch * (1 + 0.08 * c["nose_length"])
    chin = 0.80 * stretch + 0.035 * c["chin_length"]
    return {
        "stretch": stretch,
        "width": 1 + 0.055 * c["face_width"],
        "jaw": jaw,
        "eye_x": 0.24 + 0.014 * c["eye_spacing"],
        "eye_y": torch.full_like(jaw, EYE_Y),
        "eye_z": 0.475 - 0.015 * c["eye_depth"],
        "eye_half": 0.118 * (1 + 0.075 * c["eye_size"]),
        "brow_y": 0.225 + 0.018 * c["brow_height"] + 0.045 * c["brow_raise"] - 0.02 * c["brow_frown"].clamp(min=0),
        "nose_y": EYE_Y - nose_length + 0.03,
        "nose_base": EYE_Y - nose_length - 0.035,
        "nose_half": 0.115 * (1 + 0.13 * c["nose_width"]) * (1 + 0.06 * smile.clamp(min=0)),
        "nose_z": 0.70 + 0.02 * c["nose_tip"] + 0.15 * (nose_length - 0.31),
        "mouth_y": mouth_y,
        "mouth_z": 0.545 + 0.02 * pucker,
        "mouth_half": half,
        "corner_y": mouth_y + 0.055 * smile - 0.3 * gap * 0.5,
        "gap": gap,
        "lip": 0.047 * (1 + 0.17 * c["lip_fullness"]) * (1 + 0.25 * pucker) * (1 - 0.18 * smile.clamp(min=0)),
        "chin_y": EYE_Y - chin - 0.13 * jaw,
    }


def _skin(c: Mapping[str, Tensor], p: Mapping[str, Tensor], count: int) -> _Parts:
    s, w, jaw = p["stretch"], p["width"], p["jaw"]

    def below(y: float) -> Tensor:
        return EYE_Y + (y - EYE_Y) * s

    cranium = (0.50 * (1 + 0.05 * c["cranium_width"])) * (0.5 + 0.5 * w)
    top = 0.50 * (1 + 0.07 * c["cranium_height"])
    jaw_half = 0.275 * (1 + 0.13 * c["jaw_width"]) * w
    gonial = below(-0.42) + 0.045 * c["jaw_height"]
    chin_y = p["chin_y"]
    chin_z = 0.36 + 0.03 * c["chin_forward"] - 0.05 * jaw
    full = c["cheek_fullness"]
    bone = 0.31 * (1 + 0.07 * c["cheekbone_width"]) * w
    smile = c["smile"].clamp(min=0)
    parts = _Parts(count)
    parts.add("cranium", (0.0, 0.30, -0.16), (cranium, top, 0.68))
    parts.add("forehead", (0.0, 0.16, 0.06), (0.43 * w, 0.52, 0.47))
    parts.add("middle", (0.0, below(-0.26), 0.14), (0.36 * w, 0.38 * s, 0.38))
    parts.pair("cheekbone", (bone, below(-0.10), 0.20), (0.13, 0.12, 0.19), roll=0.3)
    parts.pair(
        "cheek", (0.22 * w * (1 + 0.03 * full), below(-0.34), 0.22), (0.165 + 0.02 * full, 0.19, 0.2 + 0.006 * full)
    )
    parts.pair("jaw", (jaw_half, gonial, 0.0), (0.11, 0.2 * s, 0.22), tilt=0.25, roll=0.12)
    parts.add("lower", (0.0, chin_y + 0.27, 0.15), (0.25 * (1 + 0.07 * c["jaw_width"]) * w, 0.22, 0.34))
    parts.pair(
        "body", (0.62 * jaw_half, 0.45 * gonial + 0.55 * (chin_y + 0.11), 0.20), (0.12, 0.10, 0.2), tilt=-0.1, roll=0.5
    )
    chin_half = 0.115 * (1 + 0.22 * c["chin_width"])
    parts.add("chin", (0.0, chin_y + 0.10, chin_z), (chin_half + 0.02, 0.10, 0.11))
    parts.add("mouth", (0.0, p["mouth_y"] + 0.01 - 0.3 * p["gap"], 0.33), (0.19, 0.16, 0.17 + 0.02 * c["pucker"]))
    ear = 1 + 0.12 * c["ear_size"]
    out = 0.35 + 0.14 * c["ear_out"]
    parts.pair(
        "ear",
        (0.475 * w + 0.012 * c["cranium_width"] + 0.05 * out, EYE_Y - 0.10, -0.09),
        (0.045 + 0.05 * out, 0.155 * ear, 0.09 * ear),
        tilt=-0.15,
        roll=-0.10 - 0.22 * out,
    )
    neck = 0.28 * (1 + 0.09 * c["neck_width"])
    parts.add("neck", (0.0, -1.0, -0.22), (neck, 0.85, neck * 1.05), tilt=0.12)
    bridge = 0.50 + 0.022 * c["nose_bridge"]
    mid = 0.5 * (EYE_Y + p["nose_y"]) + 0.03
    parts.add("bridge", (0.0, mid, 0.5 * (bridge + p["nose_z"] - 0.07)), (0.05, 0.20 * s, 0.055), tilt=-0.38)
    parts.add(
        "tip",
        (0.0, p["nose_y"] + 0.012 * c["nose_tip"], p["nose_z"] - 0.075),
        (0.42 * p["nose_half"] + 0.02, 0.06, 0.075),
    )
    parts.pair(
        "ala", (0.62 * p["nose_half"], p["nose_y"] - 0.022, p["nose_z"] - 0.15), (0.46 * p["nose_half"], 0.046, 0.065)
    )
    parts.pair("eye", (p["eye_x"], EYE_Y, p["eye_z"] - 0.115), (0.118, 0.095, 0.11))
    parts.pair("apple", (0.24 * w, below(-0.24) + 0.035 * smile, 0.30), (0.12, 0.09, 0.10 + 0.025 * smile))
    return parts


def _bumps(c: Mapping[str, Tensor], p: Mapping[str, Tensor], count: int) -> _Parts:
    """Relief too small to be ellipsoids of their own; radii are where it ends."""
    mouth_y, lip, gap, half = p["mouth_y"], p["lip"], p["gap"], p["mouth_half"]
    smile = c["smile"].clamp(min=0)
    parts = _Parts(count)
    parts.pair(
        "socket", (0.185, EYE_Y + 0.055, 0.52), (0.17, 0.14, 0.2), roll=-0.15, height=-0.045 - 0.012 * c["eye_depth"]
    )
    parts.pair(
        "brow", (0.20, p["brow_y"] - 0.01, 0.50), (0.2, 0.09, 0.25), roll=-0.12, height=0.022 + 0.012 * c["brow_ridge"]
    )
    parts.pair("fold", (0.19, mouth_y + 0.13, 0.5), (0.05, 0.16, 0.25), roll=0.45, height=-0.008 - 0.012 * smile)
    parts.add("upper lip", (0.0, mouth_y + 0.5 * lip, 0.53), (0.85 * half, 1.5 * lip, 0.25), height=0.3 * lip + 0.008)
    parts.add(
        "lower lip", (0.0, mouth_y - 0.75 * lip - gap, 0.52), (0.75 * half, 1.6 * lip, 0.25), height=0.36 * lip + 0.010
    )
    parts.add(
        "parting", (0.0, mouth_y - 0.5 * gap, 0.53), (1.1 * half, 0.025 + 0.7 * gap, 0.25), height=-0.014 - 0.25 * gap
    )
    parts.pair("corner", (half, p["corner_y"], 0.48), (0.05, 0.05, 0.25), height=-0.02)
    parts.add("philtrum", (0.0, 0.5 * (mouth_y + lip + p["nose_base"]), 0.55), (0.03, 0.07, 0.2), height=-0.008)
    parts.add("under lip", (0.0, mouth_y - 2.3 * lip - gap, 0.50), (0.16, 0.06, 0.25), height=-0.020)
    parts.pair("temple", (0.47, 0.22, 0.2), (0.15, 0.2, 0.3), height=-0.02)
    return parts


def _hair(c: Mapping[str, Tensor], p: Mapping[str, Tensor], count: int) -> _Parts:
    """The volumes of the hair; the last one is the opening for the face."""
    w, s = p["width"], p["stretch"]
    some = (c["hair_volume"] * 12 - 0.4).clamp(0, 1)  # bald below 0.03: every part shrinks into the skull
    volume, length, bun = c["hair_volume"], c["hair_length"] * some, c["hair_bun"] * some
    cranium = (0.50 * (1 + 0.05 * c["cranium_width"])) * (0.5 + 0.5 * w)
    top = 0.50 * (1 + 0.07 * c["cranium_height"])
    thick = -0.12 + some * (0.145 + 0.15 * volume.square() + 0.05 * volume)
    drop = length.square() * 0.55 + length * 0.35
    lock = (length * 8 - 0.4).clamp(0, 1)
    parts = _Parts(count)
    parts.add(
        "cap",
        (0.02 * c["hair_parting"], 0.31 + 0.25 * thick, -0.17),
        (cranium + 0.7 * thick, top + 0.9 * thick, 0.69 + 0.6 * thick),
    )
    parts.add(
        "front",
        (0.10 * c["hair_parting"], 0.50 + 0.4 * thick, 0.16),
        (0.36 * some + 0.01, 0.24 * some + 0.01 + 0.4 * thick, 0.30 * some + 0.01),
    )
    parts.add("nape", (0.0, 0.02, -0.34), (0.42 * some + 0.01 + 0.3 * thick, 0.45 * some + 0.01, 0.36 * some + 0.01))
    parts.pair(
        "lock",
        ((0.47 + 0.04 * volume) * w, 0.10 - drop * 0.85, -0.06),
        (0.01 + lock * (0.11 + 0.09 * volume), 0.01 + lock * (0.25 + drop), 0.01 + lock * 0.26),
        roll=0.04,
    )
    parts.add(
        "curtain",
        (0.0, 0.05 - drop * 0.9, -0.36),
        (0.01 + lock * (0.46 + 0.12 * volume), 0.01 + lock * (0.3 + drop), 0.01 + lock * 0.25),
    )
    parts.add("bun", (0.0, 0.42 + 0.55 * bun, -0.22), (0.01 + 0.22 * bun, 0.01 + 0.19 * bun, 0.01 + 0.22 * bun))
    rise = 0.52 + 0.10 * c["hairline"] - 0.34 * c["hair_fringe"] * some
    height = 0.5 * (rise + 1.25 * s)
    parts.add(
        "opening",
        (-0.05 * c["hair_parting"] * some, rise - height, 0.86),
        (0.46 * w - 0.05 * length, height, 0.86),
        roll=0.12 * c["hair_parting"],
    )
    return parts
