from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

import smoothswap
from smoothswap.core.assets import model_file
from smoothswap.core.errors import InputError
from smoothswap.pipeline.detect import YuNet
from smoothswap.pipeline.face import Face
from smoothswap.pipeline.picture import Picture

EYE_TO_EYE = 42.0  # pixels, in the astronaut's picture


def _scaled(pixels: np.ndarray, width: int) -> np.ndarray:
    how = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, width), interpolation=how)


def test_the_astronaut(astronaut_face: Face) -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = astronaut_face.points
    assert left_eye == pytest.approx([204, 101], abs=3)
    assert right_eye == pytest.approx([245, 106], abs=3)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert astronaut_face.score > 0.9


@pytest.mark.parametrize("width", [64, 128, 200, 1000])
def test_points_do_not_depend_on_the_size(astronaut: Picture, astronaut_face: Face, yunet: YuNet, width: int) -> None:
    (face,) = yunet.find(_scaled(astronaut.as_uint8(), width))
    points = (face.points + 0.5) * 512 / width - 0.5
    assert np.abs(points - astronaut_face.points).max() < (0.2 if width >= 128 else 0.3) * EYE_TO_EYE


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_on_its_side(astronaut: Picture, astronaut_face: Face, yunet: YuNet, turns: int) -> None:
    (face,) = yunet.find(np.ascontiguousarray(np.rot90(astronaut.as_uint8(), turns)))
    expected = astronaut_face.points
    for _ in range(turns):
        expected = np.stack([expected[:, 1], 511 - expected[:, 0]], axis=1)
    assert np.abs(face.points - expected).max() < 0.12 * EYE_TO_EYE


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_doubtful_face_does_not_end_the_search(
    astronaut: Picture, astronaut_face: Face, yunet: YuNet, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doubtful upright finds, on the face itself and beside it, as in pictures that stand on their heads."""
    picture = np.ascontiguousarray(np.rot90(astronaut.as_uint8(), turns))
    search = yunet._find_upright
    (right,) = yunet.find(picture)
    left, top, width, height = right.box[0], right.box[1], right.box[2] - right.box[0], right.box[3] - right.box[1]

    def doubtful(seen: np.ndarray) -> list[Face]:
        if seen is not picture:
            return search(seen)
        beside = (2.0, 2.0, 42.0, 52.0)
        over = (left - 5, top + 5, left + width, top + height)
        return [dataclasses.replace(right, box=box, points=right.points + 40, score=0.72) for box in (over, beside)]

    monkeypatch.setattr(yunet, "_find_upright", doubtful)
    found = yunet.find(picture)
    assert len(found) == 2
    assert found[0].points == pytest.approx(right.points, abs=0.02 * width)
    assert found[0].score > 0.8


def test_a_sure_face_is_searched_for_once(astronaut: Picture, yunet: YuNet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    search = yunet._find_upright
    sure = [dataclasses.replace(face, score=0.95) for face in search(astronaut.as_uint8())]
    monkeypatch.setattr(yunet, "_find_upright", lambda picture: (seen.append(picture), sure)[1])
    assert len(yunet.find(astronaut.as_uint8())) == 1
    assert len(seen) == 1


@pytest.mark.parametrize("cut", [np.s_[:, 215:], np.s_[90:], np.s_[:140], np.s_[60:200, 170:280]])
def test_a_face_at_the_border(astronaut: Picture, yunet: YuNet, cut: tuple[slice, ...]) -> None:
    assert len(yunet.find(np.ascontiguousarray(astronaut.as_uint8()[cut]))) == 1


def test_several_faces_the_largest_first(astronaut: Picture, yunet: YuNet) -> None:
    pixels = np.zeros((512, 700, 3), np.uint8)
    pixels[:, :512] = astronaut.as_uint8()
    pixels[100:288, 512:] = _scaled(astronaut.as_uint8(), 188)
    faces = yunet.find(pixels)
    assert len(faces) == 2
    assert faces[0].area > faces[1].area
    assert faces[0].points[0, 0] < 512 < faces[1].points[0, 0]


def test_a_crowd(astronaut: Picture) -> None:
    small = _scaled(astronaut.as_uint8()[:256, 90:346], 96)
    crowd = YuNet(YuNet.Config(scales=(480,), turned=False)).find(np.tile(small, (5, 5, 1)))
    assert len(crowd) == 25


def test_no_face(yunet: YuNet, noise: np.random.Generator) -> None:
    config = YuNet.Config(scales=(320,))
    for pixels in (np.zeros((60, 90, 3), np.uint8), noise.integers(0, 256, (100, 80, 3)).astype(np.uint8)):
        assert YuNet(config).find(pixels) == []
    assert "score at least 0.7" in yunet.tried(60, 90)[0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2)])
def test_pictures_too_small_for_a_face(yunet: YuNet, shape: tuple[int, int]) -> None:
    assert yunet.find(np.full((*shape, 3), 128, np.uint8)) == []


def test_it_is_a_component() -> None:
    built = smoothswap.build("yunet", score_threshold=0.5)
    assert built.config.score_threshold == 0.5


def test_missing_model_file_says_what_to_install() -> None:
    with pytest.raises(InputError, match="not installed") as error:
        model_file("no_such_package_here", "x.onnx", install="pip install it")
    assert str(error.value).endswith("pip install it")
