"""triplet: which triplets count, by hand and against loops over all of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.losses.triplet import TripletLoss

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])


def triplet(mining: str = "hard", margin: float = 0.2) -> TripletLoss:
    return TripletLoss(TripletLoss.Config(mining=mining, margin=margin))


def by_loops(z: Tensor, labels: Tensor, mining: str, margin: float) -> Tensor:
    z = F.normalize(z, dim=1)
    terms = []
    for a in range(len(z)):
        d = [(z[a] - z[j]).square().sum() for j in range(len(z))]
        positives = [d[j] for j in range(len(z)) if j != a and labels[j] == labels[a]]
        negatives = [d[j] for j in range(len(z)) if labels[j] != labels[a]]
        if not positives or not negatives:
            continue
        if mining == "hard":
            pairs = [(max(positives), min(negatives))]
        else:
            pairs = [(p, min([n for n in negatives if n > p] or [max(negatives)])) for p in positives]
        terms += [torch.relu(p - n + margin) for p, n in pairs]
    return torch.stack(terms).mean()


@pytest.mark.parametrize("mining", ["hard", "semi_hard"])
@pytest.mark.parametrize("margin", [0.0, 0.2, 3.0])
def test_equals_loops(mining: str, margin: float) -> None:
    z = torch.randn(8, 4, dtype=torch.float64)
    torch.testing.assert_close(triplet(mining, margin)(z, LABELS), by_loops(z, LABELS, mining, margin))


def test_hand_computed_hard() -> None:
    # Squared distances of unit vectors at angles 0°, 90°, 180°: 2 for neighbours, 4 for opposites.
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    # Anchor 0: positive 2, negative 4. Anchor 1: positive 2, negative 2. Anchor 2 has no positive.
    assert triplet(margin=0.5)(z, torch.tensor([0, 0, 1])).item() == pytest.approx(0.25)


def test_semi_hard_passes_over_negatives_nearer_than_the_positive() -> None:
    angles = torch.tensor([0.0, 0.6, 0.3, 0.8])
    z = torch.stack([angles.cos(), angles.sin()], dim=1).double()
    labels = torch.tensor([0, 0, 1, 2])
    d = lambda angle: 2 - 2 * torch.tensor(angle, dtype=torch.float64).cos()  # noqa: E731
    # Anchor 0: positive at 0.6, next farther negative at 0.8. Anchor 1: positive at 0.6, none farther, farthest at 0.3.
    expected = (d(0.6) - d(0.8) + 1.0 + d(0.6) - d(0.3) + 1.0) / 2
    torch.testing.assert_close(triplet("semi_hard", 1.0)(z, labels), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mining", ["hard", "semi_hard"])
@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_no_triplet_is_zero_with_zero_gradient(mining: str, labels: list[int]) -> None:
    z = torch.randn(4, 3, requires_grad=True)
    loss = triplet(mining)(z, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(z.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("mining", ["hard", "semi_hard"])
def test_gradient(mining: str) -> None:
    z = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: triplet(mining, 1.0)(v, LABELS), (z,))


@pytest.mark.parametrize("D", [3, 7, 512])
def test_of_equal_vectors_the_first_is_mined(D: int) -> None:
    one, other = torch.randn(2, D).unbind()
    # Copies at other lengths differ from each other by float32's rounding.
    scales = torch.tensor([1, 1, 3, 0.1, 7, 0.3])[:, None]
    z = torch.cat([one[None], scales[1:] * other]).requires_grad_()
    triplet(margin=9.0)(z, torch.tensor([0, 0, 0, 1, 2, 3])).backward()
    # Anchor 0: positive 1, not 2; negative 3. Anchors 1 and 2: positive 0; negative 3. The others have no positive.
    assert z.grad.abs().amax(1).gt(1e-6).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize("D", [3, 7, 512])
def test_a_negative_at_the_distance_of_the_positive_is_not_farther(D: int) -> None:
    anchor, near, far = F.normalize(torch.randn(3, D), dim=1)
    far = -anchor + 0.1 * far
    for scale in (1.0, 3.0, 0.1):
        z = torch.stack([anchor, near, scale * near, far])
        loss = triplet("semi_hard", 4.0)(z, torch.tensor([0, 0, 1, 2]))
        d = lambda u, v: (F.normalize(u, dim=0) - F.normalize(v, dim=0)).square().sum()  # noqa: E731
        # The negative lies on the anchor's positive, so `far` counts. Seen from `near` it lies on the anchor itself,
        # and `far` counts again: the only one beyond the positive, or else the farthest.
        expected = (d(anchor, near) - d(anchor, far) + 4 + d(near, anchor) - d(near, far) + 4) / 2
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_equal_vectors_have_a_finite_gradient() -> None:
    z = torch.ones(4, 3, requires_grad=True)
    triplet()(z, torch.tensor([0, 0, 1, 1])).backward()
    assert torch.isfinite(z.grad).all()


def test_errors() -> None:
    with pytest.raises(ConfigError, match="mining"):
        triplet("hardest")
    with pytest.raises(ArgumentError, match=r"labels have shape \[2\], but \[3\] is needed"):
        triplet()(torch.randn(3, 2), torch.tensor([0, 1]))
