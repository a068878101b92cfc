"""A generator's crop, wherever it counts: the embedder's window, data sets, the renderer, training, the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.core.face_crop import FFHQ, FaceCrop, declared_face_crop
from smoothswap.core.interfaces import FaceInput
from smoothswap.data.faceworld import Factors, render
from smoothswap.data.square import centre_square
from smoothswap.evaluation.scene import draw_scene
from smoothswap.modules.face_input import WINDOWS, crop_window, to_face_input
from smoothswap.pipeline import Picture, swap_pictures
from smoothswap.pipeline.face import Face

TIGHT = FaceCrop("ffhq", 0.75)
UNET = {"base_channels": 8, "channel_multipliers": (1, 1), "blocks_per_level": 1, "attention_resolutions": ()}


def smooth_image(size: int) -> Tensor:
    """[1, 3, size, size] in [-1, 1]: the same soft picture at every size."""
    small = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return F.interpolate(small, 512, mode="bicubic", align_corners=False).clamp(-1, 1)[
        ..., :: 512 // size, :: 512 // size
    ]


def test_windows_of_crops() -> None:
    assert crop_window(FFHQ) == (0, 0, 1, 1)
    assert crop_window(TIGHT) == (0.125, 0.125, 0.875, 0.875)
    left, top, right, bottom = WINDOWS["arcface112"]
    assert crop_window(FaceCrop("arcface112", 1.0)) == pytest.approx((left, top, right, bottom))
    half = crop_window(FaceCrop("arcface112", 0.5))
    assert half[2] - half[0] == pytest.approx((right - left) / 2)
    assert half[0] + half[2] == pytest.approx(left + right)
    assert (str(FFHQ), str(TIGHT)) == ("ffhq", "ffhq × 0.75")


@pytest.mark.parametrize("crop", [TIGHT, FaceCrop("ffhq", 0.9), FaceCrop("arcface112", 1.0)])
def test_an_embedder_sees_the_same_face_in_any_crop(crop: FaceCrop) -> None:
    whole = smooth_image(512)
    left, top, right, bottom = (round(512 * edge) for edge in crop_window(crop))
    cut = whole[..., top:bottom, left:right]
    expects = FaceInput("arcface112", 112)
    seen, expected = to_face_input(cut, expects, crop), to_face_input(whole, expects)
    assert (seen - expected)[..., 4:-4, 4:-4].abs().max() < 0.02
    assert (to_face_input(cut, expects) - expected).abs().max() > 0.2  # taken for an FFHQ crop it is another face


def test_a_crop_that_does_not_hold_the_template_is_refused() -> None:
    for template, crop in (("ffhq", TIGHT), ("arcface112", FaceCrop("ffhq", 0.6)), ("ffhq", FaceCrop("arcface112"))):
        with pytest.raises(ArgumentError, match="does not hold the template") as error:
            to_face_input(torch.zeros(1, 3, 8, 8), FaceInput(template, 8), crop)  # type: ignore[arg-type]
        assert "crop_scale" in str(error.value)


def test_files_are_cut_by_the_data_set(tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for person in "abc":
        (tmp_path / person).mkdir()
        for number in "12":
            Image.fromarray(pixels).save(tmp_path / person / f"{number}.png")
    options: dict[str, Any] = {"image_size": 48, "folder": str(tmp_path), "crop_scale": 0.75, "split": "all"}
    for name in ("image_folder", "identity_folder"):
        data = smoothswap.build(name, index=None, **options)
        assert declared_face_crop(data) == TIGHT
        # 0.75 of 64 pixels are 48, on whole pixels: nothing is resampled.
        assert torch.equal(data[0]["image"], torch.from_numpy(pixels[8:56, 8:56]).permute(2, 0, 1))
    assert torch.equal(centre_square(pixels, 64), torch.from_numpy(pixels).permute(2, 0, 1))


def test_the_renderer_draws_a_part() -> None:
    whole = render(Factors.neutral(), 128, 2)
    part = render(Factors.neutral(), 96, 2, crop_window(TIGHT))
    expected = whole.image[..., 16:112, 16:112]
    assert (part.image - expected).abs().mean() < 0.02
    assert (part.head - whole.head[..., 16:112, 16:112]).abs().mean() < 0.01
    torch.testing.assert_close(part.landmarks, whole.landmarks - 16, atol=1e-3, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(render(Factors.neutral(), 96, 2, crop_window(TIGHT)).image, part.image)
    with pytest.raises(ArgumentError, match="cannot draw the part"):
        render(Factors.neutral(), 64, 2, (0.5, 0.0, 0.4, 1.0))


def test_rendered_data_sets_show_the_crop_and_keep_it_apart(tmp_path: Path) -> None:
    options: dict[str, Any] = {"image_size": 32, "groups": 2, "people_per_group": 2, "cache": str(tmp_path)}
    for name, more in (("faceworld", {"images_per_person": 2}), ("faceworld_swaps", {"pictures_per_person": 2})):
        wide = smoothswap.build(name, **options, **more)
        tight = smoothswap.build(name, **options, **more, crop_scale=0.75)
        assert wide.fingerprint() != tight.fingerprint()
        other = centre_square(wide[0]["image"].permute(1, 2, 0).numpy(), 32, crop_window(TIGHT))
        near = (tight[0]["image"].float() - other.float()).abs().mean()
        assert near < 0.3 * (tight[0]["image"].float() - wide[0]["image"].float()).abs().mean()


def test_a_scene_shows_the_crop() -> None:
    one, other = Factors.neutral(), Factors.neutral().with_(hair_length=1.0)
    scene = draw_scene(one, other, 48, 2, TIGHT)
    wide = draw_scene(one, other, 64, 2)
    assert scene.head.mean() > wide.head.mean() * 1.2
    assert (scene.target - wide.target[..., 8:56, 8:56]).abs().mean() < 0.03


def test_training_takes_the_crop_from_the_generator(
    swapper_recipe: Callable[..., Any], embedder_file: Path, tmp_path: Path
) -> None:
    from smoothswap.training import Part, train_swapper

    sface = smoothswap.convert("sface", None, tmp_path / "sface.safetensors")
    world = Part("faceworld", {"groups": 2, "people_per_group": 2, "images_per_person": 2, "cache": None})
    recipe = swapper_recipe(images=8, data=world, generator=Part("smooth_unet", {**UNET, "crop_scale": 0.75}))
    train_swapper(recipe, tmp_path / "run", embedder=sface, accelerator="cpu", progress=False)
    generator = smoothswap.load(tmp_path / "run" / "generator.safetensors")
    assert declared_face_crop(generator) == TIGHT
    with pytest.raises(ArgumentError, match="does not hold the template 'ffhq'"):
        train_swapper(recipe, tmp_path / "wide", embedder=embedder_file, accelerator="cpu", progress=False)
    own = Part(recipe.data.name, {**recipe.data.options, "crop_scale": 1.0})
    with pytest.raises(ConfigError, match="shows the crop ffhq of a face, and ffhq × 0.75 is needed"):
        train_swapper(
            swapper_recipe(generator=recipe.generator, data=own),
            tmp_path / "other",
            embedder=sface,
            accelerator="cpu",
            progress=False,
        )


class Inverts(nn.Module):
    """A generator of a tight crop."""

    identity_dim, image_size = 3, 64

    def __init__(self, crop: FaceCrop) -> None:
        super().__init__()
        self.face_crop = crop
        self.seen: list[Tensor] = []

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        self.seen.append(target)
        return -target


class Middle:
    """Finds one face, known beforehand."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points

    def find(self, picture: np.ndarray) -> list[Face]:
        return [Face(box=(100, 100, 150, 150), points=self.points, score=1.0)]

    def tried(self, height: int, width: int) -> list[str]:
        return []


@pytest.mark.parametrize(("crop", "side"), [(FFHQ, 160), (TIGHT, 120), (FaceCrop("arcface112", 1.0), None)])
def test_the_pipeline_cuts_and_pastes_the_crop(crop: FaceCrop, side: float | None) -> None:
    class Mean(nn.Module):
        expects, dim = FaceInput("ffhq", 8), 3

        def forward(self, images: Tensor) -> Tensor:
            return F.normalize(images.mean(dim=(2, 3)) + 2, dim=1)

    pixels = (np.random.default_rng(1).random((300, 300, 3)) * 60 + 20).astype(np.uint8)
    photograph = Picture(pixels=pixels, name="photograph")
    points = np.array([(110.0, 120.0), (150.0, 120.0), (130.0, 140.0), (112.0, 160.0), (148.0, 160.0)])
    result = swap_pictures(photograph, photograph, generator=Inverts(crop), embedder=Mean(), landmarker=Middle(points))
    rows, columns = np.nonzero((result.picture.pixels != pixels).any(axis=2))
    changed = max(np.ptp(rows), np.ptp(columns)) + 1
    if side is None:
        from smoothswap.pipeline import arcface_square

        side = arcface_square(points).side
    assert changed == pytest.approx(side, abs=3)
