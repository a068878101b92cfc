from __future__ import annotations

import numpy as np

from smoothswap.pipeline.face import Face, largest_first


def face(left: float, top: float, width: float, height: float) -> Face:
    return Face(box=(left, top, left + width, top + height), points=np.zeros((5, 2)), score=0.9)


def test_the_largest_comes_first() -> None:
    small, large, medium = face(0, 0, 10, 10), face(50, 0, 30, 40), face(0, 50, 20, 20)
    assert largest_first([small, large, medium]) == [large, medium, small]


def test_of_equal_faces_the_left_and_then_the_upper_one_comes_first() -> None:
    # 0.1 + 30.3 − 0.1 and 1000.7 + 30.3 − 1000.7 differ in their last bits.
    left, right, lower = face(0.1, 9.7, 30.3, 30.3), face(1000.7, 3.3, 30.3, 30.3), face(1000.7, 500.9, 30.3, 30.3)
    assert len({one.area for one in (left, right, lower)}) > 1
    for faces in ([left, right, lower], [lower, right, left], [right, lower, left]):
        assert largest_first(faces) == [left, right, lower]
