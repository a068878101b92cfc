from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from smoothswap.pipeline import dlib68
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.ffhq import ffhq_square
from smoothswap.pipeline.picture import Picture

INSTALLED = all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


@pytest.mark.skipif(not INSTALLED, reason="needs the extra landmarks68")
def test_68_points_agree_with_five(astronaut: Picture, astronaut_face: Face) -> None:
    (face,) = dlib68.Dlib68(dlib68.Dlib68.Config()).find(astronaut.as_uint8())
    assert face.landmarks is not None
    assert face.landmarks.shape == (68, 2)
    five, many = ffhq_square(astronaut_face), ffhq_square(face)
    assert np.abs(five.corners - many.corners).max() < 0.1 * five.side
