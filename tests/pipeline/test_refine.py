"""Refined identities, with a generator and an embedder that can be calculated by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.core.face_crop import FaceCrop
from smoothswap.core.interfaces import FaceInput
from smoothswap.pipeline import swap_pictures
from smoothswap.pipeline.face import Landmarker
from smoothswap.pipeline.ffhq import ffhq_square
from smoothswap.pipeline.picture import Picture
from smoothswap.pipeline.refine import STEP, STEPS, default_steps, refined_swap


class MeanColour(nn.Module):
    """The direction of the mean colour, with grey as zero."""

    expects = FaceInput("ffhq", 8)
    dim = 3

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(images.mean(dim=(2, 3)), dim=1)


class Painter(nn.Module):
    """Fills the picture with the identity turned by an angle, first to second number, and counts its passes."""

    identity_dim = 3
    image_size = 8

    def __init__(self, angle: float) -> None:
        super().__init__()
        c, s = math.cos(angle), math.sin(angle)
        self.turn = nn.Parameter(torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]]))
        self.passes = 0

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        self.passes += 1
        return (identity @ self.turn.T * 0.5)[:, :, None, None].expand_as(target)


def likeness(swapped: Tensor, identity: Tensor) -> list[float]:
    return F.cosine_similarity(swapped.mean((2, 3)), identity).tolist()  # type: ignore[no-any-return]


X = torch.zeros(2, 3, 8, 8)
Z = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])


@pytest.mark.parametrize(("steps", "angle"), [(1, 0.5), (2, 0.5), (2, -0.7)])
def test_each_step_leads_the_swap_by_its_length(steps: int, angle: float) -> None:
    swapped = refined_swap(Painter(angle), MeanColour(), X[:1], Z[:1], steps=steps, stop_similarity=1.0)
    # A step of length 0.2 along the tangent, brought back to the sphere, is one of atan(0.2).
    assert likeness(swapped, Z[:1])[0] == pytest.approx(math.cos(abs(angle) - steps * math.atan(STEP)), abs=1e-5)
    assert swapped.requires_grad is False


def test_no_steps_are_the_generator_alone() -> None:
    painter = Painter(0.5)
    swapped = refined_swap(painter, MeanColour(), X, Z, steps=0, stop_similarity=1.0)
    assert torch.equal(swapped, painter(X, Z))
    assert painter.passes == 2


def test_a_face_that_is_like_enough_stays_while_the_other_is_led_on() -> None:
    painter = Painter(0.5)
    plain = painter(X, Z)
    before = likeness(plain, Z)
    assert before[0] < 0.9 < before[1], "the second one hardly turns: most of it lies in the third number"
    swapped = refined_swap(painter, MeanColour(), X, Z, steps=3, stop_similarity=0.9)
    after = likeness(swapped, Z)
    assert torch.equal(swapped[1], plain[1])
    assert after[0] == pytest.approx(math.cos(0.5 - math.atan(STEP)), abs=1e-5)
    assert after[0] > 0.9


def test_it_stops_where_all_are_like_enough() -> None:
    painter = Painter(0.5)
    refined_swap(painter, MeanColour(), X, Z, steps=50, stop_similarity=0.9)
    assert painter.passes == 2


def test_the_best_of_all_that_were_tried_is_kept() -> None:
    """Steps of 0.2 step over a likeness that 0.05 is missing of, and back again."""
    painter = Painter(0.05)
    plain = likeness(painter(X[:1], Z[:1]), Z[:1])[0]
    swapped = refined_swap(painter, MeanColour(), X[:1], Z[:1], steps=3, stop_similarity=1.0)
    assert likeness(swapped, Z[:1])[0] >= plain - 1e-6


def test_a_generator_that_does_not_look_at_the_identity_is_asked_once(copying: nn.Module) -> None:
    swapped = refined_swap(copying, MeanColour(), torch.rand(1, 3, 256, 256), Z[:1], steps=4, stop_similarity=1.0)
    assert swapped.shape == (1, 3, 256, 256)
    assert len(copying.batches) == 1  # type: ignore[arg-type]


def test_an_embedder_without_gradients_is_refused() -> None:
    class Detached(MeanColour):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.detach())

    with pytest.raises(ArgumentError, match="refine=0"):
        refined_swap(Painter(0.5), Detached(), X, Z, steps=1, stop_similarity=1.0)
    refined_swap(Painter(0.5), Detached(), X, Z, steps=0, stop_similarity=1.0)


def test_swap_pictures_refines(astronaut: Picture, finder: Landmarker) -> None:
    """The colour in the middle of the pasted face comes as near to the source's vector as the steps lead it."""
    embedder = MeanColour()
    vectors: list[Tensor] = []
    embedder.register_forward_hook(lambda module, args, out: vectors.append(out.detach()))
    models = {"generator": Painter(0.6), "embedder": embedder, "landmarker": finder, "keep_detail": False}
    angles = []
    for steps in (0, 2):
        vectors.clear()
        result = swap_pictures(astronaut, astronaut, refine=steps, stop_similarity=1.0, **models)
        across, down = ffhq_square(result.faces[0]).corners.mean(0).round().astype(int)
        colour = torch.from_numpy(result.picture.pixels[down, across] / 127.5 - 1).float()
        angles.append(math.acos(float(F.cosine_similarity(colour, vectors[0][0], dim=0))))
    turned = math.hypot(*vectors[0][0, :2].tolist())  # the share of the vector that the painter turns
    assert angles[0] == pytest.approx(2 * math.asin(turned * math.sin(0.3)), abs=0.02)
    assert angles[0] > 2 * math.atan(STEP) + 0.02, "too near for two steps"
    assert angles[1] == pytest.approx(angles[0] - 2 * math.atan(STEP), abs=0.02)
    models["embedder"] = MeanColour()
    with pytest.raises(InputError, match="refine cannot be -1"):
        swap_pictures(astronaut, astronaut, refine=-1, **models)


@pytest.mark.parametrize(("scale", "steps"), [(1.0, STEPS), (0.98, STEPS), (0.75, 0)])
def test_no_steps_by_default_where_the_embedder_needs_more_than_is_drawn(scale: float, steps: int) -> None:
    painter = Painter(0.5)
    painter.face_crop = FaceCrop("ffhq", scale)
    assert default_steps(painter, MeanColour()) == steps
    if steps == 0:
        with pytest.raises(ArgumentError, match="does not hold the template"):
            refined_swap(painter, MeanColour(), X, Z, steps=1, stop_similarity=1.0)


def test_no_steps_by_default_by_an_embedder_without_gradients() -> None:
    class Detached(MeanColour):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.detach())

    assert default_steps(Painter(0.5), Detached()) == 0


def test_an_embedder_of_another_precision() -> None:
    class Single(MeanColour):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * self.weight

    x, z = X[:1].double(), Z[:1].double()
    swapped = refined_swap(Painter(0.5).double(), Single(), x, z, steps=2, stop_similarity=1.0)
    assert swapped.dtype == torch.float64
    assert likeness(swapped, Z[:1].double())[0] == pytest.approx(math.cos(0.5 - 2 * math.atan(STEP)), abs=1e-5)
