from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from evaluation.test_identification import on_circle

from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import neighbours
from smoothswap.evaluation.smoothness import STEPS, alignment, pairs_of_two_people, slerp, uniformity, walk


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def test_alignment_by_hand() -> None:
    # A at 0°, 60°, 90° (chords 1, √2 and that of 30°), B at 180° and 0° (chord 2), C alone.
    z = on_circle(0, 60, 90, 180, 0, 45)
    labels = torch.tensor([3, 3, 3, 1, 1, 0])
    assert alignment(3 * z, labels) == pytest.approx((1 + 2 + chord(30) ** 2 + 4) / 4)
    assert alignment(z, labels, alpha=1) == pytest.approx((1 + math.sqrt(2) + chord(30) + 2) / 4)


def test_uniformity_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    z = on_circle(0, 90, 180)  # squared distances 2, 2 and 4
    assert uniformity(z) == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3))
    assert uniformity(z, t=0.5) == pytest.approx(math.log((2 * math.exp(-1) + math.exp(-2)) / 3))
    cloud = torch.randn(50, 3)
    whole = uniformity(cloud)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    assert uniformity(cloud) == pytest.approx(whole, abs=1e-12)
    # Wang and Isola's own form.
    assert whole == pytest.approx(
        float(torch.pdist(F.normalize(cloud.double(), dim=1)).square().mul(-2).exp().mean().log()), abs=1e-12
    )


def test_oracles_of_alignment_and_uniformity() -> None:
    labels = torch.arange(40).repeat_interleave(5)
    perfect = F.one_hot(labels).float()
    constant = torch.randn(1, 7).expand(200, -1)
    assert alignment(perfect, labels) == 0
    assert alignment(constant, labels) == pytest.approx(0, abs=1e-12)
    assert uniformity(constant) == pytest.approx(0, abs=1e-12)
    noise = torch.randn(200, 64)
    assert alignment(noise, labels) == pytest.approx(2, abs=0.1)  # at right angles
    # A circle that is evenly full: log of the mean of exp(−2·(2 − 2 cos φ)) = −4 + log I₀(4).
    circle = on_circle(*(360 * i / 3000 for i in range(3000)))
    assert uniformity(circle) == pytest.approx(-4 + float(torch.special.i0(torch.tensor(4.0)).log()), abs=5e-3)
    assert uniformity(circle) < uniformity(circle[:1000]) < uniformity(circle[:10])


def test_slerp() -> None:
    ways = slerp(on_circle(10, 170, 30), on_circle(110, -170, 30) * 5)
    for step, r in enumerate(STEPS):
        torch.testing.assert_close(ways[:, step], on_circle(10 + 100 * r, 170 + 20 * r, 30))
    opposite = slerp(on_circle(0), on_circle(180))
    torch.testing.assert_close(opposite.norm(dim=2), torch.ones(1, 9, dtype=torch.float64))
    assert opposite[0, 4, 0].abs() < 1e-9  # half way it is at right angles to both


def test_walk_by_hand() -> None:
    # From 0° to 90° by nine steps of 9°, past training pictures at 0°, 20° and 90°.
    found = walk(on_circle(0), on_circle(90), on_circle(0, 90, 20))
    gaps = [9, 2, 7, 16, 25, 34, 27, 18, 9]
    assert found.nearest.tolist() == [[0, 2, 2, 2, 2, 2, 1, 1, 1]]
    torch.testing.assert_close(found.distances, torch.tensor([[chord(gap) for gap in gaps]], dtype=torch.float64))
    assert found.d_smooth == pytest.approx(sum(chord(gap) for gap in gaps) / 9 / math.sqrt(2))
    assert (found.counts.tolist(), found.interpolation_count) == ([3], 3.0)


def test_d_smooth_is_pooled_over_pairs() -> None:
    gallery = on_circle(0, 90)
    found = walk(on_circle(0, 45), on_circle(90, 45), gallery)  # the second pair has no length and counts nothing below
    gaps = [9, 18, 27, 36, 45, 36, 27, 18, 9]
    assert found.d_smooth == pytest.approx((sum(map(chord, gaps)) / 9 + chord(45)) / math.sqrt(2))


def test_oracles_of_d_smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = on_circle(0, 77, 140), on_circle(130, 200, 20)
    full = on_circle(*(0.1 * i for i in range(3600)))
    dense, sparse = walk(*ends, full), walk(*ends, full[::300])
    assert dense.d_smooth < 0.001 < 0.05 < sparse.d_smooth
    assert dense.counts.tolist() == [9, 9, 9]
    # Half of the training pictures' spacing is the farthest that a step can be from one.
    assert float(sparse.distances.max()) <= chord(15) + 1e-9
    # A space that knows people as points: everyone is either end's until half way.
    axes = torch.eye(8)
    points = walk(axes[:1], axes[1:2], axes)
    assert points.counts.tolist() == [2]
    assert points.distances.max() == pytest.approx(chord(45))
    assert math.isnan(walk(axes[:1], axes[:1], axes).d_smooth)
    monkeypatch.setattr(neighbours, "_BLOCK", 1)
    assert walk(*ends, full[::300]).d_smooth == sparse.d_smooth


@pytest.mark.parametrize("dimensions", [3, 7, 512])
def test_of_equal_gallery_pictures_the_first_is_nearest(dimensions: int) -> None:
    for vector in (torch.randn(1, dimensions), torch.ones(1, dimensions)):
        constant = vector.expand(157, -1)
        found = walk(constant[:20], constant[:20], constant)
        assert (found.interpolation_count, found.nearest.unique().tolist()) == (1.0, [0])
        # The same direction at other lengths, as rounding in float32 leaves it.
        lengths = torch.linspace(0.1, 9, 157)[:, None]
        assert walk(constant[:20] * 3, constant[:20], constant * lengths).interpolation_count == 1.0
    people = torch.randn(12, dimensions)
    once = walk(people[:4], people[4:8], people)
    for order in (torch.arange(12), torch.arange(11, -1, -1)):
        twice = walk(people[:4], people[4:8], torch.cat([people, 3 * people[order], 0.1 * people[order]]))
        assert torch.equal(twice.nearest, once.nearest)


def test_half_way_between_two_pictures_the_first_is_nearest() -> None:
    for degrees in (60, 77, 90, 131):
        ends = on_circle(0), on_circle(degrees)
        assert walk(*ends, torch.cat(ends)).nearest.tolist() == [[0] * 5 + [1] * 4]
        assert walk(*ends, torch.cat(ends[::-1])).nearest.tolist() == [[1] * 4 + [0] * 5]


def test_pairs_are_of_two_people_and_the_same_each_time() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1])
    first, second = pairs_of_two_people(labels, 50)
    assert len(first) == len(second) == 50
    assert (labels[first] != labels[second]).all()
    assert torch.equal(first, pairs_of_two_people(labels, 50)[0])
    assert not torch.equal(first, pairs_of_two_people(labels, 50, seed=1)[0])


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="person with two pictures"):
        alignment(torch.eye(3), torch.arange(3))
    with pytest.raises(ArgumentError, match="alpha must be above 0, got 0"):
        alignment(torch.eye(3), torch.zeros(3), alpha=0)
    with pytest.raises(ArgumentError, match="got 1 pictures"):
        uniformity(torch.eye(1))
    with pytest.raises(ArgumentError, match=r"gallery: \[3, 3\]"):
        walk(torch.eye(2), torch.eye(2), torch.eye(3))
    with pytest.raises(ArgumentError, match="got 0, 9, 3"):
        walk(torch.zeros(0, 3), torch.zeros(0, 3), torch.eye(3))
    with pytest.raises(ArgumentError, match="not finite"):
        walk(torch.eye(2), torch.eye(2) / 0, torch.eye(2))
    with pytest.raises(ArgumentError, match="two people"):
        pairs_of_two_people(torch.zeros(5), 3)
