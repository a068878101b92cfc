"""Models through torch.jit.trace, torch.export and the exporters to ONNX."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import smoothswap
from smoothswap.ops import (
    bias_act,
    downsample2d,
    group_norm_act,
    modulated_conv2d,
    setup_filter,
    upfirdn2d,
    upsample2d,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
MODELS = ["smooth_unet_64", "smooth_unet_64_blend", "stylegan2_64", "small_resnet"]


def inputs_of(model: nn.Module, seed: int) -> tuple[Tensor, ...]:
    draws = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 64, 64, generator=draws)
    return (
        (images, torch.randn(2, model.identity_dim, generator=draws)) if hasattr(model, "identity_dim") else (images,)
    )


@pytest.mark.parametrize("name", MODELS)
def test_trace(name: str, tmp_path: Path) -> None:
    model = smoothswap.build(name).eval()
    torch.jit.save(torch.jit.trace(model, inputs_of(model, 0)), tmp_path / "model.pt")
    other = inputs_of(model, 1)
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.pt")(*other), model(*other))


@pytest.mark.parametrize(
    ("name", "strict"), [("smooth_unet_64", False), ("stylegan2_64", False), ("stylegan2_64", True)]
)
def test_export(name: str, strict: bool) -> None:
    model = smoothswap.build(name).eval()
    exported = torch.export.export(model, inputs_of(model, 0), strict=strict).module()
    other = inputs_of(model, 1)
    torch.testing.assert_close(exported(*other), model(*other))


def test_sizes_of_the_input_as_numbers() -> None:
    fir, weight = setup_filter([1, 3, 3, 1]), torch.sin(torch.arange(144.0)).view(4, 4, 3, 3)
    x = torch.sin(torch.arange(512.0)).view(2, 4, 8, 8)
    for f in (
        lambda x: upfirdn2d(x, fir, up=x.shape[0], padding=[x.shape[0], x.shape[1], 1, 1]),
        lambda x: upsample2d(x, fir, padding=x.shape[0]),
        lambda x: modulated_conv2d(x, weight, x[:, :, 0, 0], up=x.shape[0], padding=x.shape[0], resample_filter=fir),
        lambda x: group_norm_act(x, x.shape[0]),
    ):
        torch.testing.assert_close(torch.jit.trace(f, (x,))(2 * x), f(2 * x))


def every_op(x: Tensor, weight: Tensor, styles: Tensor) -> Tensor:
    fir = setup_filter([1, 3, 3, 1])
    x = bias_act(upsample2d(x, fir), x[0, :, 0, 0], act="swish", clamp=0.9)
    x = group_norm_act(downsample2d(x, fir), 2, styles[0], styles[1])
    x = modulated_conv2d(x, weight, styles, up=2, padding=1, resample_filter=fir, bias=styles[0], act="lrelu")
    return modulated_conv2d(x, weight, styles, down=2, padding=1, resample_filter=fir, act="tanh", gain=0.5)


def test_a_model_for_onnx_holds_pytorchs_own_ops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, styles = (torch.sin(torch.arange(float(n))) for n in (512, 144, 8))
    given = (x.view(2, 4, 8, 8), weight.view(4, 4, 3, 3), styles.view(2, 4))
    assert "smoothswap::" in str(torch.jit.trace(every_op, given).inlined_graph)
    usual = every_op(*given)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    traced = torch.jit.trace(every_op, given)
    assert "smoothswap::" not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(*given), usual)


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="onnx is not installed"
)
@pytest.mark.parametrize("name", ["smooth_unet_64", "stylegan2_64"])
@pytest.mark.parametrize("dynamo", [True, False])
def test_onnx(name: str, dynamo: bool, tmp_path: Path) -> None:
    import onnxruntime

    model = smoothswap.build(name).eval()
    inputs, path = inputs_of(model, 0), str(tmp_path / "model.onnx")
    torch.onnx.export(model, inputs, path, dynamo=dynamo)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {place.name: tensor.numpy() for place, tensor in zip(session.get_inputs(), inputs, strict=True)}
    torch.testing.assert_close(torch.from_numpy(session.run(None, given)[0]), model(*inputs), rtol=1e-4, atol=1e-5)
