"""`verify`: rendered people from files to figures, what is missing, what has no face, and going on after a stop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import smoothswap
from smoothswap.core.errors import CheckpointError, InputError, UnknownNameError
from smoothswap.core.interfaces import FaceInput
from smoothswap.data.faceworld import write_folder
from smoothswap.verify_pairs import verify_pairs


class Brightness(nn.Module):
    """Knows a person by the image's mean grey level; counts what it has seen."""

    expects = FaceInput("ffhq", 16)
    dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        angle = images.mean(dim=(1, 2, 3)) * torch.pi / 2
        return torch.stack([angle.cos(), angle.sin()], dim=1)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve people of two images each, told by their grey."""
    for person in range(12):
        for number in (1, 2):
            path = tmp_path / "images" / f"p{person}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 20), (20 * person + number,) * 3).save(path)
    return tmp_path / "images"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    lines = [f"p{person}/1.png p{person}/2.png 1" for person in range(12)]
    lines += [f"p{person}/1.png p{(person + 1) % 12}/1.png 0" for person in range(12)]
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(lines), "utf-8")
    return path


def run(pairs: Path, images: Path, out: Path, embedder: nn.Module, **options: Any) -> Any:
    facts = {"name": "brightness", "weights_fingerprint": "0"}
    return verify_pairs(pairs, images, out, embedder=embedder, facts=facts, align=False, workers=0, **options)


def test_an_embedder_that_knows_everybody(images: Path, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(pairs, images, out, Brightness(), batch=5)
    assert (report.figures.accuracy, report.figures.auc, report.figures.eer) == (1.0, 1.0, 0.0)
    held = json.loads((out / "verification.json").read_text("utf-8"))
    assert held["accuracy"] == 1.0
    assert held["tar"] == {"0.1": 1.0, "0.01": 1.0, "0.001": 1.0, "0.0001": 1.0}
    assert (held["listed"], held["missing"], held["failures"]) == (24, [], {})
    assert held["protocol"]["embedder"]["name"] == "brightness"
    assert held["protocol"]["pairs"] == "pairs.txt"
    assert len(held["protocol"]["pairs_file_sha256"]) == 64
    assert sorted(path.name for path in out.iterdir()) == [
        "roc.png", "vectors.jsonl", "verification.json", "worst_pairs.png",
    ]  # fmt: skip
    for name in ("roc.png", "worst_pairs.png"):
        with Image.open(out / name) as figure:
            assert min(figure.size) > 300
            assert np.asarray(figure.convert("L")).std() > 5
    assert "accuracy 100.00% ± 0.00% (10 folds, 12 pairs of one person, 12 of two)" in str(report)


def test_numbers_of_numpy(images: Path, pairs: Path, tmp_path: Path) -> None:
    options = {"batch": np.int64(5), "worst": np.array(1), "missing_limit": np.float32(0.5), "mirrored": np.bool_(True)}
    report = run(pairs, images, tmp_path / "out", Brightness(), **options)
    assert report.figures.accuracy == 1.0
    assert json.loads((tmp_path / "out" / "verification.json").read_text("utf-8"))["accuracy"] == 1.0


def test_what_was_embedded_is_not_embedded_again(images: Path, pairs: Path, tmp_path: Path) -> None:
    out, embedder = tmp_path / "out", Brightness()
    first = run(pairs, images, out, embedder)
    assert embedder.seen == 24
    vectors = out / "vectors.jsonl"
    assert b"weights_fingerprint" in vectors.read_bytes()
    vectors.write_bytes(vectors.read_bytes().replace(b"weights_fingerprint", b"weights_sha256"))  # an earlier version's
    vectors.write_bytes(vectors.read_bytes()[:-40])  # as a kill in the middle of a line leaves it
    Image.new("RGB", (24, 24), (255, 255, 255)).save(images / "p3" / "1.png")  # another image of that name
    told: list[tuple[int, int]] = []
    second = run(pairs, images, out, embedder, progress=lambda *done: told.append(done))
    assert embedder.seen == 26
    assert told == [(24, 24)]
    assert second.figures.accuracy < first.figures.accuracy
    with pytest.raises(InputError, match="other settings") as error:
        run(pairs, images, out, embedder, mirrored=True)
    assert "mirrored: False then, True now" in str(error.value)


def test_images_without_a_vector_count_as_wrong(images: Path, pairs: Path, tmp_path: Path) -> None:
    (images / "p4" / "2.png").write_bytes(b"damaged")
    (images / "p7" / "1.png").write_bytes(b"")
    report = run(pairs, images, tmp_path / "out", Brightness())
    # Folds 4, 6 and 7 have two pairs each: p4 spoils one of the first, p7 one of the second and both of the third.
    assert report.figures.accuracy == pytest.approx((7 + 0.5 + 0.5 + 0) / 10)
    assert report.failures == {
        "p4/2.png": "the file is not a picture that can be read",
        "p7/1.png": "the file is empty",
    }
    assert "2 images (p4/2.png, p7/1.png) without a vector" in str(report)
    for file in images.rglob("*.png"):
        file.write_bytes(b"damaged")
    with pytest.raises(InputError, match="no image gives a vector"):
        run(pairs, images, tmp_path / "none", Brightness())


def test_missing_images(images: Path, pairs: Path, tmp_path: Path) -> None:
    shutil.rmtree(images / "p5")
    with pytest.raises(InputError, match="3 of 24 pairs name images"):
        run(pairs, images, tmp_path / "out", Brightness())
    assert not (tmp_path / "out").exists()
    report = run(pairs, images, tmp_path / "out", Brightness(), missing_limit=0.2)
    assert "3 of 24 pairs left out: 2 images (p5/1.png, p5/2.png) missing" in str(report)


def test_faces_are_found_in_photographs_and_the_pretrained_embedder_knows_them(tmp_path: Path) -> None:
    from skimage.data import astronaut

    photograph = astronaut()
    (tmp_path / "a").mkdir()
    for number in range(10):
        Image.fromarray(photograph[: 400 + 8 * number, : 500 - 9 * number]).save(tmp_path / "a" / f"{number}.png")
    write_folder(tmp_path / "b", 10, 1, 128, 0)
    rendered = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "b").rglob("*.png"))
    lines = [f"a/{number}.png\ta/{(number + 3) % 10}.png\t1" for number in range(10)]
    lines += [f"a/{number}.png\t{rendered[number]}\t0" for number in range(10)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines), "utf-8")
    report = smoothswap.verify(tmp_path / "pairs.tsv", tmp_path, tmp_path / "out", embedder="sface", workers=0)
    assert report.figures.accuracy == 1.0
    assert report.protocol["template"] == "arcface112"
    assert report.protocol["aligned_by"] == "yunet"
    assert report.protocol["face"] == "middle"


def test_which_embedders_can_be_named(images: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sface'|Did you mean 'sface'"):
        smoothswap.verify(pairs, images, tmp_path / "out", embedder="sfase")
    with pytest.raises(InputError, match="'iresnet' comes without weights"):
        smoothswap.verify(pairs, images, tmp_path / "out", embedder="iresnet")
    smoothswap.save(smoothswap.build("stylegan2_64"), tmp_path / "d.safetensors")
    with pytest.raises(CheckpointError, match="is no embedder"):
        smoothswap.verify(pairs, images, tmp_path / "out", embedder=tmp_path / "d.safetensors")


def test_without_matplotlib_the_figures_are_left_out(
    images: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report = run(pairs, images, tmp_path / "out", Brightness())
    assert "pip install 'smoothswap[figures]'" in str(report)
    assert not (tmp_path / "out" / "roc.png").exists()
    assert (tmp_path / "out" / "verification.json").is_file()
