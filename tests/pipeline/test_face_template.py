"""Crops by a face's own points, and which face is meant."""

from __future__ import annotations

import numpy as np
import pytest

from smoothswap.core.errors import InputError
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.face_input import WINDOWS
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.face_template import choose_face, cut_face, template_square
from smoothswap.pipeline.ffhq import ARCFACE_112, ffhq_square
from smoothswap.pipeline.picture import Picture


def face(points: np.ndarray, box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Face:
    return Face(box=box, points=points, score=1.0)


@pytest.mark.parametrize(("scale", "turn", "shift"), [(1.0, 0.0, (0, 0)), (2.3, 0.4, (60, 30)), (0.6, -1.2, (11, 90))])
def test_arcface_puts_every_face_in_one_place(scale: float, turn: float, shift: tuple[float, float]) -> None:
    # A face that is ArcFace's template turned, scaled and shifted comes back as the template.
    turning = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = ARCFACE_112 @ turning.T + shift
    square = template_square(face(points), "arcface112")
    np.testing.assert_allclose(square.to_crop(points, 112), ARCFACE_112, atol=1e-6)
    assert square.side == pytest.approx(112 * scale)


def test_other_templates_follow_from_the_ffhq_square() -> None:
    one = face(np.array([(40.0, 50.0), (80.0, 52.0), (60.0, 75.0), (45.0, 95.0), (76.0, 96.0)]))
    whole = ffhq_square(one)
    np.testing.assert_array_equal(template_square(one, "ffhq").corners, whole.corners)
    window = template_square(one, "mtcnn_box")
    left, top, right, bottom = WINDOWS["mtcnn_box"]
    edges = np.array([(left, top), (left, bottom), (right, bottom), (right, top)]) * 256 - 0.5
    np.testing.assert_allclose(window.corners, whole.to_picture(edges, 256), atol=1e-9)
    with pytest.raises(InputError, match="unknown face template 'nose'"):
        template_square(one, "nose")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="coincide"):
        template_square(face(np.ones((5, 2))), "arcface112")


def test_a_rectangle_is_squeezed_to_a_square() -> None:
    image = np.zeros((90, 60, 3), np.uint8)
    image[:45, :30] = (200, 100, 0)
    corners = np.array([(-0.5, -0.5), (-0.5, 89.5), (59.5, 89.5), (59.5, -0.5)])
    from smoothswap.pipeline.ffhq import Square, crop

    cut = crop(image, Square(corners), 30)
    np.testing.assert_allclose(cut[:13, :13], np.array([200, 100, 0]) / 255 * np.ones((13, 13, 3)), atol=0.01)
    np.testing.assert_allclose(cut[17:, :], 0, atol=0.01)


def test_the_eyes_of_a_photograph_lie_where_the_template_has_them(astronaut: Picture, astronaut_face: Face) -> None:
    from smoothswap.pipeline.detect import YuNet

    cut = cut_face(astronaut.pixels, astronaut_face, FaceInput("arcface112", 224))
    (found,) = YuNet(YuNet.Config()).find((cut * 255).round().astype(np.uint8))
    assert np.abs((found.points + 0.5) / 2 - 0.5 - ARCFACE_112).max() < 6


def test_which_face_is_meant() -> None:
    points = np.zeros((5, 2))
    large = face(points, (0, 0, 60, 60))
    middle = face(points, (80, 30, 110, 60))
    assert choose_face([large, middle], "largest", 100, 200) is large
    assert choose_face([large, middle], "middle", 100, 200) is middle
    assert choose_face([large, middle], "middle", 60, 60) is large
    # Of two equally near, the larger comes first.
    twin = face(points, (109, 10, 169, 70))
    assert choose_face([face(points, (30, 10, 90, 70)), twin], "middle", 80, 200).box == (30, 10, 90, 70)
