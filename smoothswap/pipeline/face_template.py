"""The face crops that embedders and generators declare, cut out of a photograph by the face's own points.

An embedder knows faces in one place of its image: ArcFace's has the eyes at fixed pixels. A window of an FFHQ crop puts
them there on average only, so it is for crops whose points are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from smoothswap.core.errors import InputError
from smoothswap.core.face_crop import FaceCrop
from smoothswap.core.interfaces import FaceInput, Template
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.ffhq import DLIB_150, Crop, Square, arcface_square, crop, ffhq_square, fitted_square

WhichFace = Literal["largest", "middle"]


def template_square(face: Face, template: Template) -> Square:
    """Return the part of the photograph that a template cuts out for this face.

    `ffhq`, `arcface112` and `dlib150` follow from the face's points. `mtcnn_box` is a detector's box, which follows no
    points: it is the fixed window of the FFHQ square, a rectangle.

    Raises:
        InputError: the points coincide, or there is no such template.
    """
    from smoothswap.modules.face_input import WINDOWS

    if template == "ffhq":
        return ffhq_square(face)
    if template == "arcface112":
        return arcface_square(face.points)
    if template == "dlib150":
        return fitted_square(face.points, DLIB_150, 150)
    if template in WINDOWS:
        return ffhq_square(face).window(*WINDOWS[template])
    raise InputError(f"unknown face template {template!r}", hint=f"templates: {', '.join(WINDOWS)}")


def crop_square(face: Face, crop: FaceCrop) -> Square:
    """Return the part of the photograph that a generator's crop shows of this face.

    Raises:
        InputError: the points coincide.
    """
    low, high = (1 - crop.scale) / 2, (1 + crop.scale) / 2
    return template_square(face, crop.template).window(low, low, high, high)


def cut_face(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], face: Face, expects: FaceInput) -> Crop:
    """Cut out the face as an embedder expects it.

    Args:
        image: [H, W, 3] RGB, uint8 or uint16.
        face: a face of that image.
        expects: template and size.

    Returns:
        [S, S, 3] float32 RGB in [0, 1], S = expects.size; `face_values` gives it the embedder's values.

    Raises:
        InputError: the face's points give no crop.
    """
    return crop(image, template_square(face, expects.template), expects.size)


def choose_face(faces: Sequence[Face], which: WhichFace, height: int, width: int) -> Face:
    """Return the face that is meant where an image shows several.

    Args:
        faces: at least one, the largest first.
        which: `largest`, or `middle` for the one whose box has its centre nearest to the image's centre.
        height: of the image, pixels.
        width: of the image, pixels.
    """
    if which == "largest":
        return faces[0]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])

    def distance(face: Face) -> float:
        box = np.array(face.box).reshape(2, 2).mean(axis=0)
        return round(float(np.hypot(*(box - centre))), 1)  # the last digits depend on the processor

    return min(faces, key=distance)
