from __future__ import annotations

import pytest
import torch

from smoothswap.data.faceworld.anatomy import build_anatomy
from smoothswap.data.faceworld.factors import Factors
from smoothswap.data.faceworld.field import BLEND, assemble, distance, ellipsoids, surface
from smoothswap.data.faceworld.population import Population


def one(centre: tuple[float, ...], radii: tuple[float, ...], tilt: float = 0.0, roll: float = 0.0):
    return ellipsoids(
        torch.tensor([[centre]], dtype=torch.float32),
        torch.tensor([[radii]], dtype=torch.float32),
        torch.tensor([[tilt]]),
        torch.tensor([[roll]]),
    )


def far_hair():
    """One lock and an opening, both out of the way."""
    return ellipsoids(
        torch.tensor([[[0, 9.0, 0], [0, -9.0, 0]]]), torch.full((1, 2, 3), 0.1), torch.zeros(1, 2), torch.zeros(1, 2)
    )


def test_a_sphere_is_exact_at_its_surface() -> None:
    head = assemble(one((0.1, 0.2, 0.3), (0.5, 0.5, 0.5)), far_hair(), one((5.0, 0, 0), (0.1,) * 3), torch.zeros(1, 1))
    direction = torch.tensor([0.6, 0.0, 0.8])
    near = torch.stack([torch.tensor([0.1, 0.2, 0.3]) + r * direction for r in (0.5, 0.51, 0.49)], 1).unsqueeze(0)
    skin, _ = distance(head, near)
    assert skin[0].tolist() == pytest.approx([0, 0.01, -0.01], abs=6e-4)
    found = surface(head, near)
    assert torch.allclose(found.skin_normal[0, :, 0], direction, atol=1e-4)
    assert torch.allclose(found.shares, torch.ones_like(found.shares))


def test_tilt_and_roll_turn_the_long_axis() -> None:
    for tilt, roll, axis in ((torch.pi / 2, 0.0, (0.0, 0.0, 1.0)), (0.0, torch.pi / 2, (-1.0, 0.0, 0.0))):
        head = assemble(
            one((0, 0, 0), (0.1, 0.6, 0.1), tilt, roll), far_hair(), one((5.0, 0, 0), (0.1,) * 3), torch.zeros(1, 1)
        )
        skin, _ = distance(head, 0.6 * torch.tensor(axis).view(1, 3, 1))
        assert skin.item() == pytest.approx(0, abs=1e-3)


def test_a_union_of_twins_grows_by_log_two() -> None:
    twins = ellipsoids(torch.zeros(1, 2, 3), torch.full((1, 2, 3), 0.5), torch.zeros(1, 2), torch.zeros(1, 2))
    head = assemble(twins, far_hair(), one((5.0, 0, 0), (0.1,) * 3), torch.zeros(1, 1))
    skin, _ = distance(head, torch.tensor([[[0.5], [0.0], [0.0]]]))
    assert skin.item() == pytest.approx(-torch.tensor(2.0).log().item() / BLEND, abs=1e-4)


def test_a_bump_lifts_the_skin_by_its_height() -> None:
    bump = one((0.5, 0, 0), (0.2,) * 3)
    head = assemble(one((0, 0, 0), (0.5,) * 3), far_hair(), bump, torch.tensor([[0.03]]))
    skin, _ = distance(head, torch.tensor([[[0.5], [0.0], [0.0]]]))
    assert skin.item() == pytest.approx(-0.03, abs=1e-4)


def test_normals_are_the_gradient_of_the_field() -> None:
    identities = Population(seed=4, groups=3, people_per_group=1).identities
    face = Factors.neutral(3)
    head = build_anatomy(Factors(identities, face.expression, face.pose, face.light, face.background)).head
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 3, 400, generator=generator)
    points = points / points.norm(dim=1, keepdim=True) * torch.tensor([0.5, 0.75, 0.6]).view(1, 3, 1)
    for _ in range(30):  # on to the skin
        found = surface(head, points)
        points = points - found.skin.unsqueeze(1) * found.skin_normal
    found = surface(head, points)
    settled = found.skin.abs() < 1e-3
    assert settled.float().mean() > 0.9
    step = 1e-3
    numeric = torch.stack(
        [
            distance(head, points + step * axis.view(1, 3, 1))[0]
            - distance(head, points - step * axis.view(1, 3, 1))[0]
            for axis in torch.eye(3)
        ],
        1,
    )
    numeric = numeric / numeric.norm(dim=1, keepdim=True)
    cosine = (numeric * found.skin_normal).sum(1)[settled]
    assert cosine.median() > 0.995
    assert cosine.quantile(0.05) > 0.9
