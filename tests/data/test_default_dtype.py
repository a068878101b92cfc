"""A program that has set another default dtype gets the same pictures, and the same draws, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import smoothswap
from smoothswap.data.augment import Augment
from smoothswap.data.face_paste import Shape, Tone, bend, mouth_of, oval
from smoothswap.data.faceworld import FaceWorld, Factors, Population, render, swap_pairs, true_swap
from smoothswap.data.faceworld.scenes import Scenes
from smoothswap.ops import modulated_conv2d
from smoothswap.training.perturb import blur, perturb

F32 = torch.float32
PICTURE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=F32)
BATCH = torch.stack([PICTURE, PICTURE.flip(2), 1 - PICTURE])
POINTS = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]])
ALL = dict.fromkeys(("flip", "blur", "shrink", "erase"), 1.0)


def people() -> Population:
    return Population(seed=0, groups=2, people_per_group=2)


def convolved() -> Tensor:
    """By the kernel that takes its own memory to work in."""
    x, weight, styles = (torch.sin(torch.arange(n, dtype=F32)) for n in (2 * 16 * 144, 16 * 16 * 9, 2 * 16))
    return modulated_conv2d(x.view(2, 16, 12, 12), weight.view(16, 16, 3, 3), styles.view(2, 16), padding=1)


def perturbed(dtype: torch.dtype) -> Tensor:
    torch.manual_seed(1)
    return perturb(BATCH.to(dtype), 1.0)


def of_chance(f: Callable[[np.random.Generator], Any]) -> Any:
    return f(np.random.default_rng(3))


def blurred() -> Tensor:
    torch.manual_seed(0)
    return blur(BATCH, 1.5)


JOBS: dict[str, Callable[[], Any]] = {
    "true swap": lambda: vars(render(true_swap(*swap_pairs(people(), count=2, seed=0)), size=32)),
    "neutral face": lambda: vars(render(Factors.neutral(2), size=16)),
    "no face": lambda: vars(render(Factors.neutral(0), size=16)),
    "part of a picture": lambda: render(Factors.neutral(), size=16, window=(0.2, 0.2, 0.7, 0.7)).image,
    "population": lambda: (people().identities, vars(people().scene(3, people().identities[0]))),
    "scenes": lambda: vars(Scenes(people(), 2).factors(torch.tensor([1, 0]), people().identities[:2])),
    "data set": lambda: FaceWorld(FaceWorld.Config(groups=1, people_per_group=2, image_size=16))[1]["image"],
    "augment": lambda: Augment(Augment.Config())(BATCH, torch.Generator().manual_seed(0)),
    "all of augment": lambda: Augment(Augment.Config(**ALL))(BATCH, torch.Generator().manual_seed(0)),
    "bend": lambda: of_chance(lambda chance: bend(PICTURE, POINTS, chance, 0.1)),
    "shape": lambda: of_chance(lambda chance: Shape.draw(chance, 0.05)(PICTURE, POINTS)),
    "tone": lambda: of_chance(lambda chance: Tone.draw(chance, 0.2)(PICTURE)),
    "oval": lambda: of_chance(lambda chance: oval(32, POINTS, chance)),
    "mouth": lambda: mouth_of(PICTURE, POINTS),
    "blur": blurred,
    "perturb": lambda: perturbed(F32),
    "perturb, double": lambda: perturbed(torch.float64),
    "convolution": convolved,
}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_same_to_the_bit(dtype: torch.dtype, job: str, other_default: Callable[[torch.dtype], None]) -> None:
    usual = JOBS[job]()
    other_default(dtype)
    torch.testing.assert_close(JOBS[job](), usual, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["smooth_unet_64", "stylegan2_64", "small_resnet"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_new_model_has_the_default_dtype(
    dtype: torch.dtype, name: str, other_default: Callable[[torch.dtype], None]
) -> None:
    other_default(dtype)
    model = smoothswap.build(name).eval()
    images = torch.rand(2, 3, 64, 64)
    result = model(images, torch.rand(2, model.identity_dim)) if name == "smooth_unet_64" else model(images)
    assert result.dtype == (torch.promote_types(dtype, F32) if name == "small_resnet" else dtype)  # exact unit vectors
    assert bool(result.isfinite().all())


@pytest.fixture
def other_default() -> Iterator[Callable[[torch.dtype], None]]:
    """Sets the default dtype until the test ends."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)
