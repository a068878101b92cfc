"""Vectors of a folder: which pictures, which crop, what is written, what is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from torch import nn

import smoothswap
from smoothswap.core.errors import ArgumentError, CheckpointError, InputError, WorkError
from smoothswap.core.interfaces import FaceInput
from smoothswap.pipeline import align_folder, embed_folder


class Sees(nn.Module):
    """The mean colour of what it is given, and what that was."""

    def __init__(self, expects: FaceInput) -> None:
        super().__init__()
        self.expects, self.dim = expects, 3
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        return nn.functional.normalize(images.mean(dim=(2, 3)), dim=1)


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def load(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "faces"
    paint(home / "anna" / "1.png", (255, 0, 0))
    paint(home / "anna" / "deep" / "2.jpg", (250, 10, 10), (90, 61))
    paint(home / "bert" / "1.png", (0, 255, 51), (16, 16))
    paint(home / "loose.png", (255, 255, 255))
    (home / "bert" / "0.png").write_bytes(b"not a picture")
    (home / "bert" / "2.jpg").write_bytes(b"")
    return home


def test_vectors_paths_people_and_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    out = tmp_path / "vectors.npz"
    embedder = Sees(FaceInput("ffhq", 24))
    report = embed_folder(
        folder, out, embedder=embedder, facts={"name": "sees"}, batch=2, workers=0, progress=lambda *n: told.append(n)
    )
    held = load(out)
    assert held["paths"].tolist() == ["anna/1.png", "anna/deep/2.jpg", "bert/1.png", "loose.png"]
    assert held["people"].tolist() == ["anna", "anna", "bert", ""]
    assert (held["vectors"].dtype, held["vectors"].shape) == (np.float32, (4, 3))
    np.testing.assert_allclose(np.linalg.norm(held["vectors"], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(held["vectors"][0], np.array([1, -1, -1]) / np.sqrt(3), rtol=1e-5)
    assert held["skipped"].tolist() == ["bert/0.png", "bert/2.jpg"]
    assert held["reasons"].tolist() == ["the file is not a picture that can be read", "the file is empty"]
    assert json.loads(str(held["embedder"])) == {
        "name": "sees", "crop": "ffhq", "size": 24, "value_range": [-1.0, 1.0], "channel_order": "rgb",
        "aligned": False,
    }  # fmt: skip
    assert {tuple(images.shape[1:]) for images in embedder.seen} == {(3, 24, 24)}
    assert told == [(2, 6), (4, 6), (6, 6)]
    assert (report.pictures, report.dim, report.people, len(report.failures)) == (6, 3, 2, 2)
    assert "4 vectors of 3 numbers of 2 people" in str(report)
    assert "2 of 6 pictures were left out" in str(report)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "vectors.npz"]


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_numbers_of_numpy(folder: Path, tmp_path: Path, kind: Any) -> None:
    embedder = Sees(FaceInput("ffhq", 24))
    embed_folder(folder, tmp_path / "v.npz", embedder=embedder, facts={}, batch=kind(3), workers=kind(0))
    assert [len(images) for images in embedder.seen] == [2, 2], "of three files each, of which one is broken"


def test_an_embedder_of_another_crop_range_and_order(tmp_path: Path) -> None:
    # In the middle of an FFHQ crop lies ArcFace's window; what is outside of it must not be seen.
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[31:223, 32:225] = (255, 0, 51)
    (tmp_path / "faces").mkdir()
    Image.fromarray(picture).save(tmp_path / "faces" / "1.png")
    embedder = Sees(FaceInput("arcface112", 112, (0.0, 255.0), "bgr"))
    embed_folder(tmp_path / "faces", tmp_path / "v.npz", embedder=embedder, workers=0)
    (seen,) = embedder.seen
    assert seen.shape == (1, 3, 112, 112)
    middle = seen[0, :, 8:-8, 8:-8].flatten(1)
    torch.testing.assert_close(middle, torch.tensor([[51.0], [0.0], [255.0]]).expand_as(middle), atol=0.5, rtol=0)


def test_faces_are_found_and_cropped_as_align_does_it(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(astronaut()).save(photographs / "face.png")
    Image.new("RGB", (64, 64)).save(photographs / "black.png")
    torch.manual_seed(0)
    embedder = smoothswap.build("small_resnet", input_size=64, dim=16).eval()
    report = embed_folder(photographs, tmp_path / "found.npz", embedder=embedder, align=True, workers=2, batch=1)
    assert report.failures == {"black.png": "no face found"}
    align_folder(photographs, tmp_path / "crops", size=64, workers=1)
    embed_folder(tmp_path / "crops", tmp_path / "cropped.npz", embedder=embedder, workers=0)
    found, cropped = (load(tmp_path / name)["vectors"] for name in ("found.npz", "cropped.npz"))
    assert found.shape == cropped.shape == (1, 16)
    assert float(found[0] @ cropped[0]) > 0.999  # the crops were rounded to 8 bits
    with pytest.raises(InputError, match="none of the 1 pictures") as error:
        (photographs / "face.png").unlink()
        embed_folder(photographs, tmp_path / "none.npz", embedder=embedder, align=True, workers=0)
    assert "no face found" in str(error.value)
    assert "--align" in str(error.value)


def test_aligned_crops_are_cut_by_the_points_that_align_noted(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name, turn in (("upright.png", 0), ("tilted.png", 25)):
        Image.fromarray(astronaut()).rotate(turn, Image.Resampling.BICUBIC).save(photographs / name)
    align_folder(photographs, tmp_path / "crops", size=256, workers=1)
    shutil.copytree(tmp_path / "crops", tmp_path / "without")
    (tmp_path / "without" / "manifest.jsonl").unlink()
    expects = FaceInput("arcface112", 112)
    seen = {}
    for folder, align in (("photographs", True), ("crops", False), ("without", False)):
        embedder = Sees(expects)
        embed_folder(tmp_path / folder, tmp_path / "v.npz", embedder=embedder, align=align, workers=0)
        (seen[folder],) = embedder.seen
    own, noted, windowed = seen["photographs"], seen["crops"], seen["without"]
    assert noted.shape == own.shape == (2, 3, 112, 112)
    assert (noted - own).abs().mean() < 0.02  # resampled twice
    assert (windowed - own).abs().mean() > 2 * (noted - own).abs().mean()


def test_the_middle_face_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    face = Image.fromarray(astronaut()).crop((130, 20, 330, 220))
    photograph = Image.new("RGB", (900, 420), (90, 90, 90))
    photograph.paste(face.resize((380, 380)), (0, 20))
    photograph.paste(face.convert("L").convert("RGB"), (350, 110))
    (tmp_path / "photographs").mkdir()
    photograph.save(tmp_path / "photographs" / "two.png")
    colour = {}
    for which in ("largest", "middle"):
        embedder = Sees(FaceInput("arcface112", 112))
        embed_folder(tmp_path / "photographs", tmp_path / "v.npz", embedder=embedder, align=True, face=which, workers=0)
        red, _, blue = embedder.seen[0][0].mean(dim=(1, 2))
        colour[which] = float(red - blue)
        align_folder(tmp_path / "photographs", tmp_path / which, size=64, workers=1, face=which)
        with Image.open(tmp_path / which / "two.png") as crop:
            mean = np.asarray(crop, np.float32).mean(axis=(0, 1)) / 127.5
        assert abs(float(mean[0] - mean[2]) - colour[which]) < 0.2
    assert colour["largest"] > 0.1
    assert abs(colour["middle"]) < 0.02


def test_the_shipped_embedder_and_files_of_other_models(folder: Path, tmp_path: Path) -> None:
    report = smoothswap.embed(folder, tmp_path / "v.npz", workers=0)
    about = json.loads(str(load(report.out)["embedder"]))
    assert (about["name"], about["size"], len(about["weights_fingerprint"])) == ("small_resnet", 64, 64)
    vectors = load(report.out)["vectors"]
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]  # two reds are nearer than red and green
    smoothswap.save(smoothswap.build("stylegan2_64"), tmp_path / "d.safetensors")
    with pytest.raises(CheckpointError, match="no embedder") as error:
        smoothswap.embed(folder, tmp_path / "w.npz", embedder=tmp_path / "d.safetensors")
    assert "discriminator" in str(error.value)


def test_what_cannot_be(folder: Path, tmp_path: Path) -> None:
    sees = Sees(FaceInput("ffhq", 8))
    (tmp_path / "empty").mkdir()
    out = tmp_path / "v.npz"
    for words, arguments in (
        ("there is no folder", (tmp_path / "nowhere", out)),
        ("no pictures in", (tmp_path / "empty", out)),
        ("ends in .npz", (folder, tmp_path / "v.txt")),
        ("there is no folder", (folder, tmp_path / "nowhere" / "v.npz")),
    ):
        with pytest.raises(InputError, match=words):
            embed_folder(*arguments, embedder=sees, workers=0)
    with pytest.raises(ArgumentError, match="batches of 0"):
        embed_folder(folder, out, embedder=sees, batch=0)
    with pytest.raises(ArgumentError, match="does not declare"):
        embed_folder(folder, out, embedder=nn.Identity())
    out.write_bytes(b"what was there")
    for name in ("anna/1.png", "anna/deep/2.jpg", "bert/1.png", "loose.png"):
        (folder / name).write_bytes(b"broken")
    with pytest.raises(InputError, match="none of the 6 pictures"):
        embed_folder(folder, out, embedder=sees, workers=0)
    assert out.read_bytes() == b"what was there"


def test_nan_vectors_are_not_written(folder: Path, tmp_path: Path) -> None:
    class Broken(Sees):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * float("nan")

    with pytest.raises(WorkError, match="NaN or infinite"):
        embed_folder(folder, tmp_path / "v.npz", embedder=Broken(FaceInput("ffhq", 8)), workers=0)
    assert not (tmp_path / "v.npz").exists()


@pytest.mark.parametrize("name", ["n" * 252 + ".npz", "nowhere/v.npz", "folder.npz"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "in").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "in" / "a.png")
    seen: list[tuple[int, int]] = []
    with pytest.raises(InputError, match="cannot write|the file to write cannot be"):
        smoothswap.embed(tmp_path / "in", tmp_path / name, workers=0, progress=lambda *done: seen.append(done))
    assert seen == []


def test_names_that_are_no_utf_8_and_what_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "caf\udce9"
    folder.mkdir(parents=True)
    for name in ("\udcff.jfif", "a.tga"):
        Image.new("RGB", (16, 16)).save(folder / name, "TGA" if name == "a.tga" else "JPEG")
    (folder / "raw.cr2").touch()
    report = smoothswap.embed(tmp_path / "in", tmp_path / "v.npz", workers=0)
    with np.load(tmp_path / "v.npz") as file:
        assert sorted(file["paths"].tolist()) == ["caf\udce9/a.tga", "caf\udce9/\udcff.jfif"]
        assert set(file["people"].tolist()) == {"caf\udce9"}
    assert dict(report.left_out) == {".cr2": 1}
    assert "left out 1 file that is no picture: 1 × .cr2" in str(report)
