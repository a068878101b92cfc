from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smoothswap.core.interfaces import FaceInput
from smoothswap.pipeline.detect import YuNet
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.picture import Picture

ASTRONAUT = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.jpg"


class MeanColour(nn.Module):
    """An embedder that a test can see through: the mean colour of the crop."""

    expects = FaceInput("ffhq", 32)
    dim = 3

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(images.mean(dim=(2, 3)) + 2, dim=1)


class PixelChange(nn.Module):
    """A generator that changes every pixel by the same function."""

    identity_dim = 3

    def __init__(self, change: Callable[[Tensor], Tensor], image_size: int) -> None:
        super().__init__()
        self.change = change
        self.image_size = image_size
        self.batches: list[int] = []
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        assert target.shape[1:] == (3, self.image_size, self.image_size)
        assert identity.shape == (len(target), 3)
        self.batches.append(len(target))
        return self.change(target)


@pytest.fixture(scope="session")
def astronaut_file() -> Path:
    return ASTRONAUT


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    return Picture.read(ASTRONAUT)


@pytest.fixture(scope="session")
def yunet() -> YuNet:
    return YuNet(YuNet.Config())


class Remembering:
    """YuNet that looks at a picture once, since most tests ask for the same faces again."""

    def __init__(self, yunet: YuNet) -> None:
        self.yunet = yunet
        self.tried = yunet.tried
        self.found: dict[bytes, list[Face]] = {}

    def find(self, picture: np.ndarray) -> list[Face]:
        key = hashlib.sha1(picture.tobytes()).digest()
        if key not in self.found:
            self.found[key] = self.yunet.find(picture)
        return self.found[key]


@pytest.fixture(scope="session")
def finder(yunet: YuNet) -> Remembering:
    return Remembering(yunet)


@pytest.fixture(scope="session")
def astronaut_face(astronaut: Picture, finder: Remembering) -> Face:
    (face,) = finder.find(astronaut.as_uint8())
    return face


@pytest.fixture
def embedder() -> MeanColour:
    return MeanColour()


@pytest.fixture
def copying() -> PixelChange:
    return PixelChange(lambda images: images, 256)


@pytest.fixture
def inverting() -> PixelChange:
    return PixelChange(lambda images: -images, 64)


@pytest.fixture
def noise() -> np.random.Generator:
    return np.random.default_rng(7)


class OneSquareFace:
    """A landmarker for generated pictures: one upright face in the middle, of half the picture's height."""

    def find(self, picture: np.ndarray) -> list[Face]:
        height, width = picture.shape[:2]
        unit, middle = height / 10, np.array([(width - 1) / 2, (height - 1) / 2])
        points = middle + unit * np.array([(-1, -1), (1, -1), (0, 0), (-0.8, 1), (0.8, 1)])
        left, top, right, bottom = *(middle - 2 * unit), *(middle + 2 * unit)
        return [Face(box=(left, top, right, bottom), points=points, score=1.0)]

    def tried(self, height: int, width: int) -> list[str]:
        return ["the middle"]


@pytest.fixture
def middle_face() -> OneSquareFace:
    return OneSquareFace()
