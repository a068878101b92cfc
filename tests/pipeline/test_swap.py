from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from smoothswap.core import catalogue
from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError, InputError, NoFaceError, PluginError, UnknownNameError, WorkError
from smoothswap.core.interfaces import FaceInput
from smoothswap.pipeline import Mark, inspect_file, swap_file, swap_pictures
from smoothswap.pipeline.detect import YuNet
from smoothswap.pipeline.face import Face, Landmarker
from smoothswap.pipeline.ffhq import ffhq_square
from smoothswap.pipeline.picture import Picture

PLAIN = Picture(pixels=np.full((64, 64, 3), 77, np.uint8), name="plain.png")


@pytest.fixture
def photo(noise: np.random.Generator) -> Picture:
    small = noise.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return Picture(pixels=cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC), name="photo")


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    white = float(np.iinfo(one.dtype).max)
    return float(10 * np.log10(white**2 / np.mean((one.astype(float) - other) ** 2)))


def test_a_generator_that_copies_gives_the_photograph_back(
    astronaut: Picture, copying: nn.Module, embedder: nn.Module, finder: Landmarker
) -> None:
    models = {"generator": copying, "embedder": embedder, "landmarker": finder}
    result = swap_pictures(astronaut, astronaut, **models)
    assert np.array_equal(result.picture.pixels, astronaut.pixels)
    pasted = swap_pictures(astronaut, astronaut, keep_detail=False, **models).picture
    assert 55 < _psnr(pasted.pixels, astronaut.pixels) < 99
    assert len(result.faces) == 1
    assert result.swapped == (0,)


def test_the_box_changes_and_nothing_else(
    astronaut: Picture, inverting: nn.Module, embedder: nn.Module, finder: Landmarker
) -> None:
    result = swap_pictures(astronaut, astronaut, generator=inverting, embedder=embedder, landmarker=finder)
    left, top, right, bottom = ffhq_square(result.faces[0]).bounds(512, 512)
    changed = (result.picture.pixels != astronaut.pixels).any(axis=2)
    assert changed[top:bottom, left:right].mean() > 0.5
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_file_to_file(
    tmp_path: Path, astronaut_file: Path, inverting: nn.Module, embedder: nn.Module, finder: Landmarker
) -> None:
    out = tmp_path / "out.png"
    outcome = swap_file(
        astronaut_file,
        astronaut_file,
        out,
        generator=inverting,
        embedder=embedder,
        landmarker=finder,
        generator_file_sha256="ab" * 32,
    )
    assert outcome.out == out
    assert inspect_file(out).mark == outcome.mark
    assert outcome.mark is not None
    assert outcome.mark.generator_file_sha256 == "ab" * 32
    assert "swapped 1 of 1 faces" in str(outcome)
    with pytest.raises(InputError, match="exists"):
        swap_file(astronaut_file, astronaut_file, out, generator=inverting, embedder=embedder, landmarker=finder)
    with pytest.raises(InputError, match="cannot read"):
        swap_file(
            "no.png", astronaut_file, tmp_path / "b.png", generator=inverting, embedder=embedder, landmarker=finder
        )
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


class Words:
    """A marker of somebody else: a line of text, read back by its first word."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(Options):
        word: str = option("changed", "what the line begins with")

    def __init__(self, config: Config) -> None:
        self.word = config.word

    def packet(self, mark: Mark, existing: bytes | None = None) -> bytes:
        text = f"{self.word} {mark.tool} {mark.generator_file_sha256}"
        return (
            b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            b'<rdf:Description rdf:about="" xmlns:w="urn:words" w:said="' + text.encode() + b'"/></rdf:RDF></x:xmpmeta>'
        )

    def read(self, packet: bytes | None) -> Mark | None:
        found = re.search(rf'said="{self.word} (\w+) (\w+)"', (packet or b"").decode())
        return None if found is None else Mark(tool=found[1], generator_file_sha256=found[2])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("options", [{}, {"word": "altered"}])
def test_a_registered_marker_by_its_name(
    tmp_path: Path,
    astronaut_file: Path,
    inverting: nn.Module,
    embedder: nn.Module,
    finder: Landmarker,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    options: dict[str, str],
) -> None:
    monkeypatch.setattr(catalogue, "CATALOGUE", catalogue.Catalogue())
    catalogue.register("words", kind="marker", defaults=options)(Words)
    out = tmp_path / f"out{suffix}"
    models: dict[str, Any] = {"generator": inverting, "embedder": embedder, "landmarker": finder}
    outcome = swap_file(astronaut_file, astronaut_file, out, **models, marker="words", generator_file_sha256="ab" * 32)
    found = inspect_file(out, marker="words").mark
    assert found == outcome.mark
    assert found is not None
    assert found.generator_file_sha256 == "ab" * 32
    assert inspect_file(out).mark is None, "the usual marker did not write it"
    assert inspect_file(out, marker=Words(Words.Config(**options))).mark == found


@pytest.mark.parametrize(
    ("marker", "error", "said"),
    [
        ("itpc", UnknownNameError, "unknown marker 'itpc'. Did you mean 'iptc'"),
        ("yunet", UnknownNameError, "unknown marker 'yunet'"),
        (object(), PluginError, "object is no marker"),
        (None, PluginError, "NoneType is no marker"),
    ],
)
def test_what_is_no_marker_is_refused_before_the_work(
    tmp_path: Path, inverting: nn.Module, embedder: nn.Module, marker: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        swap_file("none.png", "none.png", tmp_path / "a.png", generator=inverting, embedder=embedder, marker=marker)
    with pytest.raises(error, match=said):
        inspect_file("none.png", marker=marker)


@pytest.mark.parametrize(
    ("packet", "said"), [("text", "type str"), (None, "NoneType"), (b"x" * 70_000, "70,000 bytes")]
)
def test_a_packet_that_no_picture_holds(
    tmp_path: Path, astronaut_file: Path, inverting: nn.Module, embedder: nn.Module, finder: Landmarker, packet: Any,
    said: str,
) -> None:  # fmt: skip
    marker = Words(Words.Config())
    marker.packet = lambda *_: packet  # type: ignore[method-assign]
    models: dict[str, Any] = {"generator": inverting, "embedder": embedder, "landmarker": finder}
    with pytest.raises(PluginError, match=said):
        swap_file(astronaut_file, astronaut_file, tmp_path / "a.jpg", **models, marker=marker)
    assert not list(tmp_path.iterdir())


def test_several_faces_by_index_and_all(
    astronaut: Picture, astronaut_file: Path, inverting: nn.Module, embedder: nn.Module, finder: Landmarker
) -> None:
    pair = astronaut.with_pixels(np.hstack([astronaut.pixels[:300], astronaut.pixels[:300]]))
    for chosen in (0, 1, "all"):
        result = swap_pictures(pair, pair, generator=inverting, embedder=embedder, landmarker=finder, face=chosen)  # type: ignore[arg-type]
        assert len(result.faces) == 2
        halves = [(result.picture.pixels != pair.pixels)[:, part].any() for part in (np.s_[:512], np.s_[512:])]
        right_is_first = result.faces[0].points[0, 0] > 512
        expected = (
            [True, True] if chosen == "all" else [(chosen == 0) != right_is_first, (chosen == 0) == right_is_first]
        )
        assert halves == expected
    with pytest.raises(InputError, match="has no face 2") as error:
        swap_pictures(pair, pair, generator=inverting, embedder=embedder, landmarker=finder, face=2)
    assert str(error.value).count("px at x") == 2
    with pytest.raises(InputError, match="has no face 5"):
        swap_pictures(pair, pair, generator=inverting, embedder=embedder, landmarker=finder, source_face=5)


def test_no_face_names_the_picture_and_what_was_tried(
    astronaut: Picture, inverting: nn.Module, embedder: nn.Module, finder: Landmarker
) -> None:
    with pytest.raises(NoFaceError, match=r"no face in the source 'plain.png'") as error:
        swap_pictures(PLAIN, astronaut, generator=inverting, embedder=embedder, landmarker=finder)
    assert "YuNet" in str(error.value)
    with pytest.raises(NoFaceError, match=r"no face in the target 'plain.png'"):
        swap_pictures(PLAIN, PLAIN, generator=inverting, embedder=embedder, landmarker=finder, aligned_source=True)


def test_the_source_is_cut_out_by_its_own_points(
    astronaut: Picture, astronaut_face: Face, inverting: nn.Module, finder: Landmarker
) -> None:
    from smoothswap.pipeline import cut_face

    class Sees(nn.Module):
        expects, dim = FaceInput("arcface112", 112, (0.0, 255.0), "bgr"), 3

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen = images
            return nn.functional.normalize(images.mean(dim=(2, 3)), dim=1)

    sees = Sees()
    swap_pictures(astronaut, astronaut, generator=inverting, embedder=sees, landmarker=finder, refine=0)
    expected = torch.from_numpy(cut_face(astronaut.pixels, astronaut_face, sees.expects)).permute(2, 0, 1).flip(0) * 255
    torch.testing.assert_close(sees.seen[0], expected, atol=1e-3, rtol=0)


def test_an_aligned_source_must_be_square(
    photo: Picture, inverting: nn.Module, embedder: nn.Module, middle_face: Landmarker
) -> None:
    keywords = {"generator": inverting, "embedder": embedder, "landmarker": middle_face, "aligned_source": True}
    assert swap_pictures(PLAIN, photo, **keywords).source_face is None  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no aligned crop"):
        swap_pictures(photo, photo, **keywords)  # type: ignore[arg-type]


def test_the_identity_is_that_of_the_source(photo: Picture, embedder: nn.Module, middle_face: Landmarker) -> None:
    seen: list[torch.Tensor] = []

    class Listening(nn.Module):
        image_size, identity_dim = 32, 3

        def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
            seen.append(identity)
            return target

    red = Picture(pixels=np.full((40, 40, 3), (255, 0, 0), np.uint8))
    listening = Listening().train()
    swap_pictures(
        red, photo, generator=listening, embedder=embedder, landmarker=middle_face, aligned_source=True, refine=0
    )
    assert seen[0] == pytest.approx(nn.functional.normalize(torch.tensor([[3.0, 1.0, 1.0]]), dim=1))
    assert listening.training, "the mode of the model comes back"


def test_an_arcface_embedder_gets_its_window(photo: Picture, inverting: nn.Module, middle_face: Landmarker) -> None:
    class ArcFace(nn.Module):
        expects, dim = FaceInput("arcface112", 112, (0.0, 255.0), "bgr"), 3

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape == (1, 3, 112, 112)
            assert images.max() > 2
            return nn.functional.normalize(images.mean(dim=(2, 3)), dim=1)

    swap_pictures(photo, photo, generator=inverting, embedder=ArcFace(), landmarker=middle_face)


@pytest.mark.parametrize("kind", ["16 bits", "grey", "alpha"])
def test_what_the_target_has_stays(
    photo: Picture, inverting: nn.Module, embedder: nn.Module, middle_face: Landmarker, tmp_path: Path, kind: str
) -> None:
    target = {
        "16 bits": Picture(pixels=photo.pixels.astype(np.uint16) * 257 + 5),
        "grey": Picture(pixels=np.repeat(photo.pixels[:, :, :1], 3, axis=2), grey=True),
        "alpha": Picture(pixels=photo.pixels, alpha=photo.pixels[:, :, 0]),
    }[kind]
    path = target.write(tmp_path / "target.png")
    out = tmp_path / "out.png"
    swap_file(path, path, out, generator=inverting, embedder=embedder, landmarker=middle_face)
    result = Picture.read(out)
    assert result.bits == target.bits
    assert result.grey is target.grey
    assert (result.alpha is None) is (target.alpha is None)
    if result.alpha is not None:
        assert np.array_equal(result.alpha, target.alpha)
    assert np.array_equal(result.pixels[:, :3], target.pixels[:, :3])
    assert not np.array_equal(result.pixels, target.pixels)


@pytest.mark.parametrize("stored", ["png", "jpg", "webp", "16 bits"])
@pytest.mark.parametrize("colour_transfer", [True, False])
@pytest.mark.parametrize("keep_detail", [True, False])
def test_a_grey_photograph_stored_as_rgb_stays_grey(
    photo: Picture,
    inverting: nn.Module,
    embedder: nn.Module,
    middle_face: Landmarker,
    tmp_path: Path,
    stored: str,
    colour_transfer: bool,
    keep_detail: bool,
) -> None:
    tint = torch.tensor([0.4, 0.0, -0.4])[:, None, None]
    inverting.change = lambda images: (tint - images).clamp(-1, 1)  # orange and teal
    grey = photo.with_pixels(np.repeat(photo.pixels[:, :, :1], 3, axis=2))
    if stored == "16 bits":
        grey = grey.with_pixels(grey.pixels.astype(np.uint16) * np.uint16(257))
    else:
        grey = Picture.read(grey.write(tmp_path / f"grey.{stored}"))
    assert not grey.grey
    models = {"generator": inverting, "embedder": embedder, "landmarker": middle_face}
    result = swap_pictures(photo, grey, colour_transfer=colour_transfer, keep_detail=keep_detail, **models)
    pixels = result.picture.as_uint8().astype(int)
    assert (pixels != grey.as_uint8()).mean() > 0.1
    assert (pixels.max(axis=2) - pixels.min(axis=2)).max() <= 4
    coloured = swap_pictures(photo, photo, colour_transfer=colour_transfer, **models).picture.pixels.astype(int)
    assert (coloured.max(axis=2) - coloured.min(axis=2)).max() > 40


def test_many_faces_go_in_batches(photo: Picture, embedder: nn.Module, inverting: nn.Module) -> None:
    class Grid:
        def find(self, picture: np.ndarray) -> list[Face]:
            unit = np.array([(-1, -1), (1, -1), (0, 0), (-0.8, 1), (0.8, 1)])
            places = [(x, y) for y in range(8, 120, 12) for x in range(8, 160, 15)]
            return [Face(box=(x, y, x + 4, y + 4), points=unit * 2 + (x, y), score=1.0) for x, y in places]

        def tried(self, height: int, width: int) -> list[str]:
            return []

    result = swap_pictures(
        photo, photo, generator=inverting, embedder=embedder, landmarker=Grid(), batch_size=32, colour_transfer=True
    )
    assert len(result.swapped) == 110
    assert inverting.batches == [32, 32, 32, 14]


def test_models_that_do_not_belong_together(photo: Picture, inverting: nn.Module, embedder: nn.Module) -> None:
    embedder.dim = 4
    with pytest.raises(ArgumentError, match="takes identities of 3 numbers, the embedder gives 4"):
        swap_pictures(photo, photo, generator=inverting, embedder=embedder)


def test_values_that_are_no_numbers(
    photo: Picture, inverting: nn.Module, embedder: nn.Module, middle_face: Landmarker
) -> None:
    inverting.change = lambda images: images * float("nan")
    with pytest.raises(WorkError, match="NaN or infinite values"):
        swap_pictures(photo, photo, generator=inverting, embedder=embedder, landmarker=middle_face)


@pytest.mark.parametrize(
    "change", [lambda images: images[:, :1], lambda images: images[:, :, ::2], lambda images: [images]]
)
def test_a_generator_of_another_shape_is_named(
    photo: Picture, inverting: nn.Module, embedder: nn.Module, middle_face: Landmarker, change: object
) -> None:
    inverting.change = change  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match=r"generator 'PixelChange' gave .*expected \[1, 3, 64, 64\]"):
        swap_pictures(photo, photo, generator=inverting, embedder=embedder, landmarker=middle_face)


@pytest.mark.parametrize("aligned", [True, False])
def test_an_embedder_of_another_length_is_named(
    photo: Picture, inverting: nn.Module, middle_face: Landmarker, aligned: bool
) -> None:
    class Longer(nn.Module):
        expects, dim = FaceInput("ffhq", 32), 3

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=3)

    source = PLAIN if aligned else photo
    options = {"generator": inverting, "embedder": Longer(), "landmarker": middle_face, "aligned_source": aligned}
    with pytest.raises(ArgumentError, match=r"embedder 'Longer' gave \[1, 3, 32\], expected \[1, 3\]"):
        swap_pictures(source, photo, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"feather": -0.1}, {"feather": 0.6}, {"batch_size": 0}])
def test_wrong_options(photo: Picture, inverting: nn.Module, embedder: nn.Module, wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        swap_pictures(photo, photo, generator=inverting, embedder=embedder, **wrong)  # type: ignore[arg-type]


def test_a_12_megapixel_photograph(astronaut: Picture, copying: nn.Module, embedder: nn.Module) -> None:
    large = cv2.resize(astronaut.pixels, (3464, 3464), interpolation=cv2.INTER_LINEAR)
    result = swap_pictures(
        astronaut,
        Picture(pixels=large),
        generator=copying,
        embedder=embedder,
        landmarker=YuNet(YuNet.Config(scales=(320,))),
        keep_detail=False,
    )
    assert result.picture.pixels.shape == large.shape
    assert _psnr(result.picture.pixels, large) > 35


def test_importing_the_pipeline_loads_no_torch() -> None:
    code = "import sys, smoothswap.pipeline; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
