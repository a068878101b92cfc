from __future__ import annotations

import pytest
import torch

from smoothswap.data.faceworld.camera import PIVOT, grid, rotation, to_head, to_pixels

AHEAD = torch.tensor(PIVOT) + torch.tensor([0.0, 0.0, 0.5])


def place(yaw: float = 0, pitch: float = 0, roll: float = 0, point: torch.Tensor = AHEAD) -> tuple[float, float]:
    x, y = to_pixels(point.view(1, 1, 3), rotation(torch.tensor([[yaw, pitch, roll]])), 100)[0, 0].tolist()
    return x, y


def test_signs_of_the_pose() -> None:
    x, y = place()
    assert (x, y) == pytest.approx((49.5, 55.5), abs=1e-4)  # the pivot is 0.12 below the middle
    assert place(yaw=0.3)[0] > x + 5
    assert place(pitch=0.3)[1] < y - 5
    crown = torch.tensor([0.0, 0.8, 0.0])
    assert place(roll=0.2, point=crown)[0] > place(point=crown)[0] + 5


def test_rotations_are_rotations() -> None:
    turn = rotation(torch.tensor([[0.4, -0.2, 0.1]]))
    assert torch.allclose(turn @ turn.transpose(1, 2), torch.eye(3).unsqueeze(0), atol=1e-6)
    assert torch.linalg.det(turn).item() == pytest.approx(1, abs=1e-5)


def test_to_head_undoes_the_turn() -> None:
    turn = rotation(torch.tensor([[0.4, -0.2, 0.1]]))
    camera = torch.tensor([[[0.2], [-0.4], [0.3]]])
    pixels = to_pixels(to_head(camera, turn).transpose(1, 2), turn, 100)
    assert pixels[0, 0].tolist() == pytest.approx([59.5, 69.5], abs=1e-3)


def test_grid_is_centres_from_the_top_left() -> None:
    x, y = grid(4, torch.device("cpu"))
    assert x[:4].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert y[0].item() == 0.75
    assert y[-1].item() == -0.75
