"""FaceRes from a TensorFlow.js model that the test writes, against TensorFlow's arithmetic written out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import smoothswap
from smoothswap.core.errors import CheckpointError, InputError
from smoothswap.embedders.convert_faceres import read_faceres
from smoothswap.embedders.faceres import MEAN_BGR, PAIRS
from smoothswap.modules.face_input import to_face_input

Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """Random weights in TensorFlow's layout; every layer keeps the scale of what it is given."""
    chance = np.random.default_rng(0)

    def some(*shape: int, scale: float) -> np.ndarray:
        return (chance.normal(0, scale, shape)).astype(np.float16)

    state = {"conv1/convolution/merged_input": some(3, 3, 3, 32, scale=0.01)}
    state["conv1_bn/batchnorm_1/sub"] = some(32, scale=0.5) + np.float16(1)
    channels = 32
    for i, (width, _) in enumerate(PAIRS, 1):
        state[f"conv_dw_{i}/depthwise_kernel"] = some(3, 3, channels, 1, scale=0.5)
        state[f"conv_dw_{i}_bn/batchnorm_1/mul"] = some(channels, scale=0.2) + np.float16(1)
        state[f"conv_dw_{i}_bn/batchnorm_1/sub"] = some(channels, scale=0.2) + np.float16(0.5)
        state[f"conv_pw_{i}/convolution/merged_input"] = some(1, 1, channels, width, scale=(2 / channels) ** 0.5)
        state[f"conv_pw_{i}_bn/batchnorm_1/sub"] = some(width, scale=0.2)
        channels = width
    for name in ("conv1_relu/Cast", "conv_dw_1_relu/Cast"):
        state[name] = np.float16(6).reshape(())
    state["gender_pred/kernel"] = some(256, 1, scale=1)
    return state


def write(tensors: Tensors, folder: Path) -> Path:
    """Files as TensorFlow.js's converter writes them, one number in 32 bits among the halves."""
    rows, values = [], b""
    for name, tensor in tensors.items():
        rows.append(
            {
                "name": name,
                "shape": list(tensor.shape),
                "dtype": "float32",
                "quantization": {"dtype": "float16", "original_dtype": "float32"},
            }
        )
        values += tensor.tobytes()
    rows.append({"name": "global_pooling/Mean/reduction_indices", "shape": [2], "dtype": "int32"})
    values += np.array([1, 2], np.int32).tobytes()
    (folder / "faceres.json").write_text(json.dumps({"weightsManifest": [{"weights": rows, "paths": ["faceres.bin"]}]}))
    path = folder / "faceres.bin"
    path.write_bytes(values)
    return path


def same_padding(x: Tensor, stride: int) -> Tensor:
    """TensorFlow's SAME for a 3x3: what is needed, the odd pixel at the right and lower edge."""
    needed = max((-(-x.shape[-1] // stride) - 1) * stride + 3 - x.shape[-1], 0)
    return F.pad(x, (needed // 2, needed - needed // 2) * 2)


def transcription(images: Tensor, tensors: Tensors) -> Tensor:
    """[B, 1024] the pooled features, in the precision of the images."""

    def own(name: str) -> Tensor:
        return torch.from_numpy(tensors[name].astype(np.float64)).to(images.dtype)

    def relu6(x: Tensor, name: str) -> Tensor:
        return (x + own(f"{name}_bn/batchnorm_1/sub")[:, None, None]).clamp(0, 6)

    x = images - torch.tensor(MEAN_BGR, dtype=torch.float64).to(images.dtype)[:, None, None]
    kernel = own("conv1/convolution/merged_input").permute(3, 2, 0, 1)
    x = relu6(F.conv2d(same_padding(x, 2), kernel, stride=2), "conv1")
    for i, (_, stride) in enumerate(PAIRS, 1):
        kernel = own(f"conv_dw_{i}/depthwise_kernel").permute(2, 3, 0, 1)
        x = F.conv2d(same_padding(x, stride), kernel, stride=stride, groups=len(kernel))
        x = relu6(x * own(f"conv_dw_{i}_bn/batchnorm_1/mul")[:, None, None], f"conv_dw_{i}")
        kernel = own(f"conv_pw_{i}/convolution/merged_input").permute(3, 2, 0, 1)
        x = relu6(F.conv2d(x, kernel), f"conv_pw_{i}")
    return x.mean((2, 3))


def test_against_a_transcription(tensors: Tensors, tmp_path: Path) -> None:
    written = smoothswap.convert("faceres", write(tensors, tmp_path), tmp_path / "faceres.safetensors")
    embedder = smoothswap.load(written).eval()
    assert (embedder.dim, embedder.expects.channel_order) == (1024, "bgr")
    pictures = F.interpolate(torch.rand(3, 3, 9, 9) * 2 - 1, 128, mode="bicubic").clamp(-1, 1)
    images = to_face_input(pictures, embedder.expects)
    with torch.no_grad():
        expected = F.normalize(transcription(images, tensors), dim=1)
        z = embedder(images)
    assert (expected[0] - expected[1]).abs().max() > 0.005, "the planted weights tell pictures apart"
    torch.testing.assert_close(z, expected, atol=2e-6, rtol=0)


def test_gradients_are_those_of_the_transcription(tensors: Tensors, tmp_path: Path) -> None:
    written = smoothswap.convert("faceres", write(tensors, tmp_path), tmp_path / "faceres.safetensors")
    embedder = smoothswap.load(written).eval().double()
    pictures = F.interpolate(torch.rand(2, 3, 9, 9) * 2 - 1, 64, mode="bicubic").clamp(-1, 1)
    images = to_face_input(pictures, embedder.expects).double().requires_grad_()
    along = torch.linspace(-1, 1, embedder.dim).double()
    (expected,) = torch.autograd.grad((F.normalize(transcription(images, tensors), dim=1) * along).sum(), images)
    (gradient,) = torch.autograd.grad((embedder(images) * along).sum(), images)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected, atol=1e-5 * expected.abs().max().item(), rtol=0)


def remove_description(path: Path) -> None:
    path.with_suffix(".json").unlink()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def add_values(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(6))


def half_a_description(path: Path) -> None:
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text[: len(text) // 2])


def of_another_format(path: Path) -> None:
    path.with_suffix(".json").write_text("<html>not found</html>")


def of_unknown_numbers(path: Path) -> None:
    path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace("float16", "uint8"))


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (remove_description, InputError, "faceres.json"),
        (cut_off, CheckpointError, "cannot be read"),
        (add_values, CheckpointError, "are described"),
        (half_a_description, CheckpointError, r"faceres\.json' cannot be read"),
        (of_another_format, CheckpointError, "cannot be read"),
        (of_unknown_numbers, CheckpointError, "uint8"),
    ],
)
def test_damaged_files(
    damage: Callable[[Path], None], error: type[Exception], words: str, tensors: Tensors, tmp_path: Path
) -> None:
    path = write(tensors, tmp_path)
    damage(path)
    with pytest.raises(error, match=words):
        read_faceres(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name faceres.bin"):
        read_faceres(tmp_path / "faceres.json")


@pytest.mark.parametrize(
    "missing", ["conv_dw_3_bn/batchnorm_1/mul", "conv_pw_13/convolution/merged_input", "conv_dw_7/depthwise_kernel"]
)
def test_missing_tensors_are_named(missing: str, tensors: Tensors, tmp_path: Path) -> None:
    path = write({name: tensor for name, tensor in tensors.items() if name != missing}, tmp_path)
    with pytest.raises(CheckpointError, match=missing):
        smoothswap.convert("faceres", path, tmp_path / "faceres.safetensors")
    assert not (tmp_path / "faceres.safetensors").exists()
