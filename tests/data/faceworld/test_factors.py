from __future__ import annotations

import pytest
import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.data.faceworld import (
    APPEARANCE_FACTORS,
    IDENTITY_FACTORS,
    SHAPE_FACTORS,
    Factors,
    true_swap,
)


def test_shapes() -> None:
    face = Factors.neutral(3)
    assert len(face) == 3
    assert face.identity.shape == (3, len(IDENTITY_FACTORS))
    assert len(SHAPE_FACTORS) >= 22
    assert len(APPEARANCE_FACTORS) >= 12
    assert len(set(IDENTITY_FACTORS)) == len(IDENTITY_FACTORS)


def test_with_sets_one_factor_and_leaves_the_original() -> None:
    face = Factors.neutral(2)
    other = face.with_(smile=0.5, yaw=torch.tensor([0.1, 0.2]))
    assert other.columns()["smile"].tolist() == [0.5, 0.5]
    assert other.columns()["yaw"].tolist() == pytest.approx([0.1, 0.2])
    assert face.columns()["smile"].tolist() == [0, 0]
    with pytest.raises(ArgumentError, match="no factor is called 'smlie'"):
        face.with_(smlie=1.0)


def test_select_and_cat() -> None:
    face = Factors.neutral(3).with_(jaw_width=torch.tensor([1.0, 2.0, 3.0]))
    assert face.select([2, 0]).columns()["jaw_width"].tolist() == [3, 1]
    assert face.select(slice(1, 3)).columns()["jaw_width"].tolist() == [2, 3]
    assert Factors.cat([face, face.select([1])]).columns()["jaw_width"].tolist() == [1, 2, 3, 2]


def test_true_swap_takes_the_identity_alone() -> None:
    source = Factors.neutral().with_(jaw_width=2.0, skin_tone=0.9, yaw=0.4, smile=1.0, cloth_red=0.9)
    target = Factors.neutral().with_(jaw_width=-1.0, yaw=-0.2, azimuth=0.7)
    swapped = true_swap(source, target)
    assert torch.equal(swapped.identity, source.identity)
    for part in ("expression", "pose", "light", "background"):
        assert torch.equal(getattr(swapped, part), getattr(target, part))
    with pytest.raises(ArgumentError, match="2 source pictures for 1"):
        true_swap(Factors.neutral(2), target)


def test_errors() -> None:
    face = Factors.neutral()
    with pytest.raises(ArgumentError, match=r"'pose' have shape \(1, 2\)"):
        Factors(face.identity, face.expression, face.pose[:, :2], face.light, face.background)
