"""A photograph made into another's: its head bent a little, and a second person's face pasted over its own.

What is made is no good swap. It is what a swapper can be shown as a target whose true swap is known, since that is the
photograph it was made from.

Pictures are [3, S, S] in [0, 1]. Points are x, y as shares of the side, five of a face: left eye, right eye, nose tip,
left and right mouth corner. A face has coordinates of its own: the origin between the eyes, x to the right eye, one
unit from eye to eye. A similarity is kept as two complex numbers `turn`, `shift`: z → turn·z + shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.similarity import as_complex, as_points, fit_similarity
from smoothswap.data.crop_points import Points

FACE = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, 0.571), (-0.415, 1.156), (0.415, 1.156)])
"""The five points of an average face in its own coordinates, after ArcFace's template."""

_MIDDLE = 0.6  # of the oval that is pasted, below the eyes
_REACH = 1.7  # of the bending, around that middle: the head, and little of what is behind it
_KNOTS = 5  # of a random bending, along each side of the picture, and of another shape, along each side of the face
_HALF = 1.6  # side of the square around that middle in which a face can take another shape, halved
_STEPS = 8  # of the search for where a point lies in another shape; each brings it at least twice as near
_MOUTH = (0.7, 0.9, 1.5)  # half the width, top and bottom of the part that expression is read from


@dataclass(frozen=True)
class Similarity:
    """Turn, scale and shift: z → turn·z + shift, with points as complex numbers."""

    turn: complex
    shift: complex

    @classmethod
    def fit(cls, places: Points, wanted: Points) -> Similarity:
        """The one that brings places [N, 2] nearest to the wanted ones; the places must not coincide."""
        turn, shift = fit_similarity(places, wanted)
        return cls(complex(turn), complex(shift))

    def __call__(self, places: Tensor) -> Tensor:
        """Places [..., 2], moved."""
        x, y = places.unbind(-1)
        turn, shift = self.turn, self.shift
        return torch.stack(
            [turn.real * x - turn.imag * y + shift.real, turn.imag * x + turn.real * y + shift.imag], dim=-1
        )

    def inverse(self) -> Similarity:
        """The one that undoes it."""
        return Similarity(1 / self.turn, -self.shift / self.turn)


def pose_of(points: Points) -> Points:
    """[..., 10] what five points [..., 5, 2] say of a pose: where they lie in the face's own coordinates."""
    turn, shift = fit_similarity(points, FACE)
    own = as_points(turn[..., None] * as_complex(points) + shift[..., None])
    return own.reshape(*points.shape[:-2], 10)


def mirrored(points: Points) -> Points:
    """Five points [5, 2] in the mirrored picture."""
    return np.stack([1 - points[[1, 0, 2, 4, 3], 0], points[[1, 0, 2, 4, 3], 1]], axis=1)


def bend(picture: Tensor, points: Points, chance: np.random.Generator, strength: float) -> tuple[Tensor, Points]:
    """Bend a head: broader or narrower, longer or shorter, and a little of everything.

    Args:
        picture: [3, S, S].
        points: of its face.
        chance: decides how.
        strength: standard deviation of the change of width and length, as a share; 0 leaves the picture as it is.

    Returns:
        The bent picture, and where the points lie in it.
    """
    S = picture.shape[-1]
    face = Similarity.fit(FACE, points)
    own = face.inverse()(_places(S))  # [S, S, 2]
    near = torch.exp(-(((own[..., 0] / _REACH) ** 2 + ((own[..., 1] - _MIDDLE) / _REACH) ** 2) ** 2))
    stretch = torch.from_numpy(chance.normal(0, strength, 2)).float()
    knots = torch.from_numpy(chance.normal(0, 0.4 * strength, (1, 2, _KNOTS, _KNOTS))).float()
    waves = F.interpolate(knots, size=(S, S), mode="bicubic", align_corners=True)[0].movedim(0, -1)
    from_middle = own - torch.tensor([0.0, _MIDDLE], dtype=torch.float32)
    moved = Similarity(face.turn, 0)((from_middle * stretch + waves) * near[..., None])
    bent = _sample(picture, _places(S) + moved)
    at = torch.from_numpy(points).float()
    shifts = _sample(moved.movedim(-1, 0), at[None])[:, 0].T  # [5, 2]
    return bent, points - shifts.double().numpy()


@dataclass(frozen=True)
class Shape:
    """Another shape of a face, the same on either side of the nose: it makes another person of whoever has it.

    Args:
        knots: [1, 2, K, K] where the pixel comes from, less where it is, in the face's own coordinates.
    """

    knots: Tensor

    @classmethod
    def draw(cls, chance: np.random.Generator, strength: float) -> Shape:
        """One by chance; every knot's shift has this standard deviation, in distances between the eyes."""
        knots = torch.from_numpy(chance.normal(0, strength, (1, 2, _KNOTS, _KNOTS))).float()
        flipped = knots.flip(-1) * torch.tensor([-1.0, 1.0], dtype=torch.float32)[:, None, None]
        return cls((knots + flipped) / 2**0.5)

    def __call__(self, picture: Tensor, points: Points) -> tuple[Tensor, Points]:
        """A picture [3, S, S] whose face, of these points [5, 2], takes the shape, and where its points are then."""
        places = _places(picture.shape[-1])
        start = torch.from_numpy(points).float()[None]
        at = start
        for _ in range(_STEPS):  # what lies at `at` comes from `start`: at + moved(at) = start
            at = start - self._moved(at, points)
        return _sample(picture, places + self._moved(places, points)), at[0].double().numpy()

    def _moved(self, places: Tensor, points: Points) -> Tensor:
        """[H, W, 2] shifts at places [H, W, 2], as shares of the side; none outside of the face's square."""
        face = Similarity.fit(FACE, points)
        square = (face.inverse()(places) - torch.tensor([0.0, _MIDDLE], dtype=torch.float32)) / _HALF
        near = 1 - square.abs().amax(-1, keepdim=True).clamp(max=1) ** 4
        shifts = F.grid_sample(self.knots, square[None], mode="bicubic", padding_mode="border", align_corners=True)[0]
        return Similarity(face.turn, 0)(shifts.movedim(0, -1) * near)


def laid_over(picture: Tensor, points: Points, wanted: Points, chance: np.random.Generator, jitter: float) -> Tensor:
    """A picture moved so that its face lies where another one is, up to a random scale and shift.

    Args:
        picture: [3, S, S].
        points: of its face.
        wanted: of the other one.
        chance: decides scale and shift.
        jitter: their standard deviation, the shift in distances between the eyes.
    """
    back = Similarity.fit(wanted, points)
    scale = float(np.exp(chance.normal(0, jitter)))
    middle = complex(as_complex(wanted).mean())
    aside = complex(*chance.normal(0, jitter, 2)) * abs(Similarity.fit(FACE, wanted).turn)
    # Scaled around the middle of the face, then shifted: written for the way back, from output to picture.
    turn = back.turn / scale
    return _sample(
        picture, Similarity(turn, back.turn * middle + back.shift - turn * (middle + aside))(_places(picture.shape[-1]))
    )


def mouth_of(picture: Tensor, points: Points) -> Tensor:
    """[40] a coarse picture of the mouth, without its brightness and contrast."""
    half, top, bottom = _MOUTH
    down, across = (
        torch.linspace(top, bottom, 5, dtype=torch.float32),
        torch.linspace(-half, half, 8, dtype=torch.float32),
    )
    y, x = torch.meshgrid(down, across, indexing="ij")
    patch = _sample(picture.mean(0, keepdim=True), Similarity.fit(FACE, points)(torch.stack([x, y], -1))).flatten()
    return (patch - patch.mean()) / (patch.std() + 0.02)


def oval(size: int, points: Points, chance: np.random.Generator) -> Tensor:
    """[S, S] share of every pixel that a pasted face covers: an oval from brow to chin with a soft edge."""
    own = Similarity.fit(FACE, points).inverse()(_places(size))
    across, down, soft = chance.uniform(0.82, 1.08), chance.uniform(0.95, 1.2), chance.uniform(0.15, 0.4)
    radius = torch.sqrt((own[..., 0] / across) ** 2 + ((own[..., 1] - _MIDDLE) / down) ** 2)
    share = ((1 - radius) / soft).clamp(0, 1)
    return share * share * (3 - 2 * share)


def recoloured(picture: Tensor, model: Tensor, where: Tensor, strength: float) -> Tensor:
    """A picture with the mean and contrast of each colour brought towards those of another one.

    Args:
        picture: [3, S, S].
        model: [3, S, S], the other one.
        where: [S, S], the weights of the pixels that are measured, in both.
        strength: 0 leaves it as it is, 1 gives it all of them.
    """
    weights = where / where.sum().clamp(min=1e-6)

    def moments(of: Tensor) -> tuple[Tensor, Tensor]:
        mean = (of * weights).sum((1, 2), keepdim=True)
        return mean, ((of - mean).square() * weights).sum((1, 2), keepdim=True).sqrt()

    (mean, spread), (wanted, contrast) = moments(picture), moments(model)
    ratio = (contrast / spread.clamp(min=1e-3)).clamp(0.5, 2)
    return picture + strength * ((picture - mean) * ratio + wanted - picture)


@dataclass(frozen=True)
class Tone:
    """Another light: v → gain · v^gamma.

    Args:
        gamma: above 1 darkens what is neither black nor white.
        gains: of red, green and blue.
    """

    gamma: float
    gains: tuple[float, ...]

    @classmethod
    def draw(cls, chance: np.random.Generator, strength: float) -> Tone:
        """One by chance: the logarithms of gamma and, four times less, of the gains have this standard deviation."""
        gamma, *gains = np.exp(chance.normal(0, 1, 4) * strength * [1, 0.25, 0.25, 0.25]).tolist()
        return cls(gamma, tuple(gains))

    def __call__(self, picture: Tensor) -> Tensor:
        """A picture [3, S, S] in that light."""
        return picture.clamp(0, 1) ** self.gamma * torch.tensor(self.gains, dtype=torch.float32)[:, None, None]


def _places(size: int) -> Tensor:
    """[S, S, 2] x, y of the pixels' centres."""
    line = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def _sample(picture: Tensor, places: Tensor) -> Tensor:
    """[C, H, W] values of a picture [C, S, S] at places [H, W, 2]; outside of it those of its edge."""
    grid = (2 * places - 1)[None].to(picture.dtype)
    return F.grid_sample(picture[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
