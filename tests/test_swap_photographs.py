"""`evaluate`: planted generators on a small folder of photographs get the figures that they must get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from torch import Tensor, nn
from torch.nn import functional as F

import smoothswap
from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.core.interfaces import FaceInput
from smoothswap.pipeline.face import Face
from smoothswap.swap_photographs import choose_pairs, swap_photographs


class MeanColour(nn.Module):
    expects, dim = FaceInput("arcface112", 112), 3

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(images.mean(dim=(2, 3)), dim=1)


class Tints(nn.Module):
    """Moves the target's colour by a share of the way to the identity, in an ellipse or everywhere; 0 copies it."""

    identity_dim, image_size = 3, 128

    def __init__(self, amount: float, crop: FaceCrop = FFHQ, *, inside: bool = True) -> None:
        super().__init__()
        self.amount, self.face_crop = amount, crop
        steps = (torch.arange(128) + 0.5) / 128 - 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        self.where = ((x**2 + y**2) < 0.31**2).float() if inside else torch.ones(128, 128)

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        return target + self.amount * self.where * (identity[:, :, None, None] - target)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people: an astronaut, and herself in blue."""
    photograph = Image.fromarray(astronaut()).crop((60, 0, 400, 340))
    for number in range(2):
        for person in "ab":
            pixels = np.asarray(photograph.rotate(4 * number, Image.Resampling.BICUBIC))
            path = tmp_path / "photographs" / person / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels if person == "a" else np.ascontiguousarray(pixels[..., ::-1])).save(path)
    return tmp_path / "photographs"


def measured(folder: Path, out: Path, generator: nn.Module, **options: Any) -> Any:
    colour = MeanColour()
    return swap_photographs(folder, out, generator=generator, embedder=colour, judges={"colour": colour}, **options)


def test_a_copied_target_keeps_everything_and_convinces_nobody(folder: Path, tmp_path: Path) -> None:
    report = measured(folder, tmp_path / "out", Tints(0.0), pairs=4)
    assert len(report) == 4
    assert report.nearer["colour"].tolist() == [0.0] * 4
    assert report.to_target["colour"].min() > 0.999
    assert report.background.min() > 35  # a crop of 128 px pasted back
    assert report.reconstruction.min() > 30
    assert report.landmarks is None  # yunet gives five points
    held = json.loads((tmp_path / "out" / "photographs.json").read_text("utf-8"))
    assert held["pairs"] == 4
    assert held["figures"]["colour"]["nearer"]["mean"] == 0
    assert held["protocol"]["judges_that_gave_the_identities"] == ["colour"]
    with Image.open(tmp_path / "out" / "photographs.jpg") as sheet:
        assert sheet.size == (6 * 256 + 4 * 8 + 24, 2 * 256 + 8)


def test_numbers_of_numpy_are_written_as_pythons(folder: Path, tmp_path: Path) -> None:
    options = {"pairs": np.int64(1), "seed": np.uint8(3), "shown": np.array(0), "stop_similarity": np.float32(0.5)}
    measured(folder, tmp_path / "out", Tints(0.0), **options)
    protocol = json.loads((tmp_path / "out" / "photographs.json").read_text("utf-8"))["protocol"]
    assert (protocol["seed"], protocol["stop_similarity"]) == (3, 0.5)


def test_a_tint_in_the_face_pleases_the_judge_and_keeps_the_background(folder: Path, tmp_path: Path) -> None:
    report = measured(folder, tmp_path / "out", Tints(0.9), pairs=4)
    assert report.nearer["colour"].tolist() == [1.0] * 4
    everywhere = measured(folder, tmp_path / "all", Tints(0.9, inside=False), pairs=4)
    assert everywhere.nearer["colour"].tolist() == [1.0] * 4
    assert everywhere.background.max() < 20 < report.background.min()
    assert everywhere.sharpness.value < 0.1
    assert everywhere.reconstruction.max() < report.reconstruction.min()


def test_a_tight_crop_changes_its_box_alone(folder: Path, tmp_path: Path) -> None:
    report = measured(folder, tmp_path / "out", Tints(0.0, FaceCrop("ffhq", 0.75)), pairs=2, keep_detail=False)
    assert report.protocol["crop"] == "ffhq × 0.75"
    wide = measured(folder, tmp_path / "wide", Tints(0.0), pairs=2, keep_detail=False)
    assert (report.reconstruction > wide.reconstruction).all()  # more pixels on the face
    kept = measured(folder, tmp_path / "kept", Tints(0.0), pairs=2)
    assert (kept.reconstruction > report.reconstruction).all()
    assert [one.protocol["keep_detail"] for one in (report, kept)] == [False, True]


def test_pairs_are_of_two_people_and_follow_the_seed() -> None:
    names = [f"{person}/{number}.png" for person in "abc" for number in range(2)]
    pairs = choose_pairs(names, 12, 0)
    assert all(source[0] != target[0] for source, target in pairs)
    assert sorted(target for _, target in pairs) == sorted(names * 2)
    assert pairs == choose_pairs(names, 12, 0) != choose_pairs(names, 12, 1)
    assert choose_pairs(["a/1", "a/2"], 3, 0) == []
    assert len(choose_pairs(["1.png", "2.png"], 3, 0)) == 3


def test_what_cannot_be(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(folder / "a" / "black.png")
    report = measured(folder, tmp_path / "out", Tints(0.0), pairs=10)
    assert 0 < len(report.failures) < 10
    assert all("no face in the" in why for why in report.failures.values())
    with pytest.raises(ArgumentError, match="pairs cannot be 0"):
        measured(folder, tmp_path / "none", Tints(0.0), pairs=0)
    with pytest.raises(InputError, match="no photographs of two people"):
        measured(_one_person(tmp_path), tmp_path / "none", Tints(0.0))


def test_two_judges_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    embedder = smoothswap.build("small_resnet", input_size=32, dim=8)
    files = [smoothswap.save(embedder, _made(tmp_path / name) / "judge.safetensors") for name in ("one", "other")]
    with pytest.raises(InputError, match="two judges have the same name"):
        smoothswap.evaluate(folder, tmp_path / "out", judges=[str(file) for file in files])


def test_faces_that_are_lost_are_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loses(SixtyEight):
        """Finds no face in the second picture that it is shown after the first pair."""

        def find(self, picture: np.ndarray) -> list[Face]:
            self.calls += 1
            return [] if self.calls == 5 else super().find(picture)

    monkeypatch.setattr("smoothswap.swap_photographs.build_landmarker", lambda name: Loses())
    report = measured(folder, tmp_path / "out", Tints(0.0), pairs=2, landmarker="loses")
    assert report.landmarks is not None
    assert report.landmarks.isnan().tolist() == [True, False]
    assert report.landmarks[1] == 0
    assert any("(found in 1 of 2)" in row[0] for row in report.rows())
    assert report.to_dict()["figures"]["landmarks_found"] == 1


class SixtyEight:
    """One face in the middle with 68 landmarks."""

    calls = 0

    def find(self, picture: np.ndarray) -> list[Face]:
        points = np.array([(140.0, 120.0), (190.0, 120.0), (165.0, 145.0), (145.0, 170.0), (185.0, 170.0)])
        marks = np.repeat(points[2:3], 68, axis=0)
        marks[36:42], marks[42:48], marks[48], marks[54] = points[0], points[1], points[3], points[4]
        return [Face(box=(100, 80, 230, 210), points=points, score=1.0, landmarks=marks)]

    def tried(self, height: int, width: int) -> list[str]:
        return []


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _one_person(tmp_path: Path) -> Path:
    path = tmp_path / "one" / "a" / "1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(path)
    return tmp_path / "one"


def test_the_shipped_model_by_its_command(folder: Path, tmp_path: Path) -> None:
    report = smoothswap.evaluate(folder, tmp_path / "out", pairs=2, shown=0)
    assert len(report) == 2
    assert list(report.nearer) == ["sface"]
    assert not (tmp_path / "out" / "photographs.jpg").exists()
    assert "nearer to the source, by sface" in {row[0] for row in report.rows()}
