"""pasted_faces: what is changed, what stays, whose face it is, and that points follow the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aligned import POINTS, write_aligned

import smoothswap
from smoothswap.core.errors import InputError
from smoothswap.data.face_paste import (
    FACE,
    Shape,
    Similarity,
    bend,
    laid_over,
    mirrored,
    mouth_of,
    oval,
    pose_of,
    recoloured,
)
from smoothswap.data.pasted_faces import PastedFaces

TURNED = POINTS + np.array([(0, 0), (0, 0), (0.05, 0), (0, 0), (0, 0)])


def pasted(root: Path, **options: object) -> PastedFaces:
    values = {"folder": str(root), "image_size": 24, "held_out": 0.0, "variants": 2} | options
    return smoothswap.build("pasted_faces", kind="dataset", **values)  # type: ignore[no-any-return]


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two pictures are equal up to the rounding of a mean."""
    return int((one.int() - other.int()).abs().max()) <= 1


def greys(picture: torch.Tensor) -> float:
    return float(picture.float().mean())


def test_the_truth_is_the_photograph_and_the_source_another_one_of_the_person(tmp_path: Path) -> None:
    root = write_aligned(tmp_path, {"a/1.png": (60, POINTS), "a/2.png": (90, POINTS), "b/1.png": (200, POINTS)})
    data = pasted(root)
    assert (len(data), data.people, data.labels.tolist()) == (6, 2, [0, 0, 0, 0, 1, 1])
    assert data.knows(data.config) == {"truth"}
    for index, (truth, source) in enumerate([(60, 90), (60, 90), (90, 60), (90, 60), (200, 200), (200, 200)]):
        item = data[index]
        assert {item[name].shape for name in ("image", "source", "truth")} == {(3, 24, 24)}
        assert greys(item["truth"]) == pytest.approx(truth, abs=1)
        assert greys(item["source"]) == pytest.approx(source, abs=1)
        assert item["person"] == item["source_person"] == data.labels[index]
        assert all(torch.equal(item[name], data[index][name]) for name in ("image", "source", "truth"))
    assert same(data[4]["source"], data[4]["truth"].flip(2)), "a person's only photograph"
    assert not torch.equal(data[0]["image"], data[1]["image"])
    with pytest.raises(IndexError):
        data[6]


def test_without_bending_only_the_oval_changes_and_takes_the_colours_around_it(tmp_path: Path) -> None:
    root = write_aligned(tmp_path, {"a.png": (60, POINTS), "b.png": (200, POINTS)})
    item = pasted(root, bending=0.0, jitter=0.0)[0]
    changed = (item["image"].int() - item["truth"].int()).abs().amax(0)
    assert int(changed[:3].max()) <= 1
    assert int(changed[:, :3].max()) <= 1
    assert int(changed[10:14, 10:14].max()) > 5
    assert greys(item["image"]) < 130, "the pasted face of 200 is drawn towards the 60 that it covers"
    assert not torch.equal(item["image"], pasted(root, jitter=0.0)[0]["image"])


@pytest.mark.parametrize("tone", [0.2, 0.5])
def test_target_and_truth_are_seen_in_one_light(tmp_path: Path, tone: float) -> None:
    root = write_aligned(tmp_path, {"a.png": (60, POINTS), "b.png": (200, POINTS)})
    plain, lit = pasted(root), pasted(root, tone=tone)
    changed = set()
    for index in range(4):
        before, after = plain[index], lit[index]
        assert torch.equal(after["source"], before["source"])
        border = torch.ones(24, 24, dtype=torch.bool)
        border[2:-2, 2:-2] = False
        assert same(after["image"][:, border], after["truth"][:, border])
        changed.add(same(after["truth"], before["truth"]))
    assert changed == {False}


def test_the_face_is_of_another_person_in_the_nearest_pose(tmp_path: Path) -> None:
    faces = {"a/1.png": (60, TURNED), "a/2.png": (60, TURNED), "b/1.png": (130, POINTS), "c/1.png": (220, TURNED)}
    seen: list[int] = []
    data = pasted(write_aligned(tmp_path, faces), candidates=1)
    read = data.pictures.readable
    data.pictures.readable = lambda index: (seen.append(index), read(index))[1]  # type: ignore[method-assign, func-returns-value]
    data[0]
    assert seen[1:2] == [3]


def test_mirrored_faces_match_by_their_mirrored_points(tmp_path: Path) -> None:
    faces = {"a.png": (60, TURNED), "b.png": (130, POINTS), "c.png": (220, mirrored(TURNED))}
    seen: list[int] = []
    data = pasted(write_aligned(tmp_path, faces), candidates=1, mirror=True, variants=8)
    read = data.pictures.readable
    data.pictures.readable = lambda index: (seen.append(index), read(index))[1]  # type: ignore[method-assign, func-returns-value]
    plain, flips = pasted(tmp_path)[0]["truth"], set()
    for index in range(8):
        seen.clear()
        truth = data[index]["truth"]
        assert seen[1] == 2
        assert same(truth, plain) or same(truth.flip(2), plain)
        flips.add(same(truth, plain))
    assert flips == {True, False}


def test_a_broken_file_is_stood_in_for_with_its_own_points(tmp_path: Path) -> None:
    root = write_aligned(tmp_path, {"a/1.png": (60, POINTS), "a/2.png": (90, TURNED), "b/1.png": (200, POINTS)})
    (root / "a" / "1.png").write_bytes(b"no picture")
    data = pasted(root)
    assert greys(data[0]["truth"]) == pytest.approx(90, abs=1)
    assert [path.name for path in data.broken] == ["1.png"]


def test_candidates_are_different_photographs(tmp_path: Path) -> None:
    faces = {f"{person}.png": (40 + 30 * person, POINTS) for person in range(6)}
    data, seen = pasted(write_aligned(tmp_path, faces), candidates=3), []
    read = data.pictures.readable
    data.pictures.readable = lambda index: (seen.append(index), read(index))[1]  # type: ignore[method-assign, func-returns-value]
    for index in range(4):
        seen.clear()
        data[index]
        assert len(seen) == len(set(seen)) == 4


def test_broken_files_give_no_answer_away(tmp_path: Path) -> None:
    # The only other photograph of a person: the truth stands in for it, and becomes the source mirrored.
    two = write_aligned(tmp_path / "two", {"a/1.png": (60, POINTS), "a/2.png": (90, POINTS), "b/1.png": (200, POINTS)})
    (two / "a" / "2.png").write_bytes(b"no picture")
    item = pasted(two)[0]
    assert same(item["source"], item["truth"].flip(2))
    assert not same(item["source"], item["truth"])
    # A face to paste is stood in for by the person who is to be covered: another one is taken.
    faces = {"a/1.png": (60, POINTS), "b/1.png": (90, POINTS), "c/1.png": (200, TURNED)}
    few = write_aligned(tmp_path / "few", faces)
    (few / "c" / "1.png").write_bytes(b"no picture")
    for index in range(4):
        item = pasted(few, variants=2, candidates=2, bending=0.0)[index]
        assert not same(item["image"], item["truth"])


def test_what_stands_in_without_points_is_passed_over(tmp_path: Path) -> None:
    faces = {"a/1.png": (60, POINTS), "a/2.png": (90, None), "b/1.png": (200, TURNED), "c/1.png": (20, POINTS)}
    root = write_aligned(tmp_path, faces)
    (root / "a" / "1.png").write_bytes(b"no picture")
    data = pasted(root)
    item = data[0]
    assert greys(item["truth"]) == pytest.approx(200, abs=1), "nobody knows where the face of a/2.png is"
    assert item["person"] == data.pictures.labels[2]
    for name in ("b/1.png", "c/1.png"):
        (root / name).write_bytes(b"no picture")
    with pytest.raises(InputError, match="whose points are noted can be read"):
        pasted(root)[0]


def test_pictures_without_points_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = pasted(write_aligned(tmp_path, {"a.png": (60, POINTS), "b.png": (90, None), "c.png": (200, POINTS)}))
    assert len(data) == 4
    assert "1 of 3 pictures" in caplog.text
    bare = tmp_path / "bare"
    write_aligned(bare, {"a.png": (60, POINTS), "b.png": (90, POINTS)})
    (bare / "manifest.jsonl").unlink()
    with pytest.raises(InputError, match="too few people") as caught:
        pasted(bare)
    assert "smoothswap align" in caught.value.hint


@pytest.mark.parametrize("finer", [1, 3])
def test_pictures_worked_on_at_another_size(tmp_path: Path, finer: int) -> None:
    root = write_aligned(tmp_path, {"a.png": (60, POINTS), "b.png": (200, POINTS)})
    usual, other = pasted(root)[1], pasted(root, finer=finer)[1]
    for name in ("image", "source", "truth"):
        assert other[name].shape == (3, 24, 24)
        assert float((other[name].float() - usual[name].float()).abs().mean()) < 4


def test_a_tight_crop_moves_the_points(tmp_path: Path) -> None:
    root = write_aligned(tmp_path, {"a.png": (60, POINTS), "b.png": (90, POINTS)})
    assert pasted(root, crop_scale=0.5)._points[0] == pytest.approx((POINTS - 0.25) / 0.5)


@pytest.mark.parametrize("turn", [0.3 + 0.1j, 2.0 - 1.5j])
def test_similarity(turn: complex) -> None:
    shift = 0.4 - 2j
    z = turn * (FACE @ [1, 1j]) + shift
    fitted = Similarity.fit(FACE, np.stack([z.real, z.imag], 1))
    assert fitted.turn == pytest.approx(turn)
    assert fitted.shift == pytest.approx(shift)
    places = torch.tensor(FACE)
    assert fitted.inverse()(fitted(places)).numpy() == pytest.approx(FACE)
    assert pose_of(np.stack([z.real, z.imag], 1)) == pytest.approx(FACE.ravel())


def test_mirrored_twice_is_the_same() -> None:
    assert mirrored(mirrored(TURNED)) == pytest.approx(TURNED)
    assert mirrored(TURNED)[2] == pytest.approx([1 - TURNED[2, 0], TURNED[2, 1]])
    assert mirrored(TURNED)[0, 0] < mirrored(TURNED)[1, 0]


def spot(size: int, at: Any) -> torch.Tensor:
    line = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 0.03**2)).expand(3, size, size)


def centroid(picture: torch.Tensor) -> Any:
    weights = picture[0] / picture[0].sum()
    line = (torch.arange(picture.shape[-1]) + 0.5) / picture.shape[-1]
    return np.array([float((weights.sum(0) * line).sum()), float((weights.sum(1) * line).sum())])


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("which", range(5))
def test_the_points_follow_what_is_bent(seed: int, which: int) -> None:
    picture = spot(128, POINTS[which])
    bent, points = bend(picture, POINTS, np.random.default_rng(seed), 0.1)
    assert centroid(bent) == pytest.approx(points[which], abs=0.006)
    assert np.abs(points - POINTS).max() > 0.004
    still, same = bend(picture, POINTS, np.random.default_rng(seed), 0.0)
    assert torch.allclose(still, picture, atol=1e-5)
    assert same == pytest.approx(POINTS)


def test_a_turned_head_is_bent_in_its_own_directions() -> None:
    """Broader stays broader where the head lies on its side."""
    places = (POINTS - 0.5) @ [1, 1j]
    lying = 0.5 + np.stack([(1j * places).real, (1j * places).imag], 1)
    upright, turned = (bend(spot(64, own[0]), own, Broader(), 0.2)[1] for own in (POINTS, lying))  # type: ignore[arg-type]
    widths = [np.hypot(*(points[1] - points[0])) / 0.12 for points in (upright, turned)]
    assert widths[0] != pytest.approx(1, abs=0.05)
    assert widths[0] == pytest.approx(widths[1], abs=0.01)


class Broader:
    """Chance that always stretches a head across, and makes no waves."""

    def normal(self, mean: float, deviation: float, shape: Any) -> Any:
        return np.array([deviation, 0.0]) if shape == 2 else np.zeros(shape)


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("which", range(5))
def test_the_points_follow_another_shape(seed: int, which: int) -> None:
    shape = Shape.draw(np.random.default_rng(seed), 0.15)
    reshaped, points = shape(spot(256, POINTS[which]), POINTS)
    down, across = divmod(int(reshaped[0].argmax()), 256)
    assert points[which] == pytest.approx([(across + 0.5) / 256, (down + 0.5) / 256], abs=0.004)
    assert np.abs(points - POINTS).max() > 0.004
    still, same = Shape.draw(np.random.default_rng(seed), 0.0)(reshaped, POINTS)
    assert torch.allclose(still, reshaped, atol=1e-5)
    assert same == pytest.approx(POINTS)


def test_another_shape_is_the_same_on_either_side() -> None:
    middle = (POINTS + mirrored(POINTS)) / 2
    picture = torch.rand(3, 96, 96)
    shape = Shape.draw(np.random.default_rng(1), 0.1)
    reshaped, points = shape(picture, middle)
    assert (reshaped - picture).abs().max() > 0.1
    assert torch.allclose(shape(picture.flip(2), middle)[0], reshaped.flip(2), atol=1e-4)
    assert mirrored(points) == pytest.approx(points, abs=1e-5)


def test_truth_and_source_are_reshaped_alike_and_what_is_far_from_the_face_stays(tmp_path: Path) -> None:
    root = write_aligned(tmp_path, {"a/1.png": (60, POINTS), "a/2.png": (60, POINTS), "b/1.png": (200, POINTS)})
    (root / "a/2.png").write_bytes((root / "a/1.png").read_bytes())
    plain, other = (pasted(root, image_size=32, bending=0.0, jitter=0.0, reshaping=r) for r in (0.0, 0.1))
    before, after = plain[0], other[0]
    assert not same(before["truth"], after["truth"])
    assert same(after["truth"], after["source"]), "two photographs that were one, and the same shape"
    assert same(before["truth"][:, :, :2], after["truth"][:, :, :2])
    assert same(after["truth"], other[0]["truth"])
    assert not same(after["truth"], other[1]["truth"]), "each pair has a shape of its own"


@pytest.mark.parametrize("turn", [1.0, 0.7 + 0.2j])
def test_a_face_is_laid_where_the_other_one_is(turn: complex) -> None:
    z = turn * ((POINTS - 0.5) @ [1, 1j])
    wanted = 0.5 + np.stack([z.real, z.imag], 1)
    for own, other in zip(POINTS, wanted, strict=True):
        moved = laid_over(spot(128, own), POINTS, wanted, np.random.default_rng(0), jitter=0.0)
        assert centroid(moved) == pytest.approx(other, abs=0.006)


def test_mouths_are_told_apart_whatever_their_light() -> None:
    open_, closed = spot(64, POINTS[3:].mean(0)), spot(64, POINTS[3])
    mouth = mouth_of(open_, POINTS)
    assert mouth.shape == (40,)
    darker = float((mouth_of(0.5 * open_ + 0.2, POINTS) - mouth).square().mean())
    assert darker < 0.2 * float((mouth_of(closed, POINTS) - mouth).square().mean())


def test_recoloured_takes_mean_and_contrast() -> None:
    generator = torch.Generator().manual_seed(0)
    picture, model = torch.rand(2, 3, 32, 32, generator=generator).unbind(0)
    model = 0.3 + 0.8 * (model - 0.5)
    where = oval(32, POINTS, np.random.default_rng(0))
    assert float(where.max()) == 1
    assert float(where[0].max()) == 0
    weights = where / where.sum()
    full, none = recoloured(picture, model, where, 1.0), recoloured(picture, model, where, 0.0)
    assert torch.allclose((full * weights).sum((1, 2)), (model * weights).sum((1, 2)), atol=1e-5)
    spread = [((own - (own * weights).sum((1, 2), True)).square() * weights).sum((1, 2)) for own in (full, model)]
    assert torch.allclose(spread[0], spread[1], atol=1e-4)
    assert torch.equal(none, picture)
