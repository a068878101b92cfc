"""The ops on a CUDA device give what they give on the CPU in float64, in every precision and memory format."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smoothswap.ops import bias_act, modulated_conv2d, setup_filter, supcon_loss, upfirdn2d

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# What one rounding of the result, and a sum of some hundred products, may cost.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-3, torch.bfloat16: 4e-2, torch.float16: 6e-3}


def _near(mine: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert mine.dtype == dtype
    difference = (mine.double().cpu() - expected).abs().max()
    assert difference <= TOLERANCE[dtype] * expected.abs().max().clamp(min=1)


def _image(dtype: torch.dtype, memory: torch.memory_format) -> tuple[Tensor, Tensor]:
    x = torch.randn(2, 8, 17, 23, dtype=torch.float64)
    on_gpu = x.to("cuda", dtype).contiguous(memory_format=memory)
    return on_gpu, on_gpu.double().cpu()


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
class TestAgainstTheCpu:
    @pytest.mark.parametrize("options", [{"up": 2, "padding": (2, 1)}, {"down": 2, "padding": 1}, {"padding": (2, 1)}])
    def test_upfirdn2d(self, dtype: torch.dtype, memory: torch.memory_format, options: dict[str, object]) -> None:
        x, reference = _image(dtype, memory)
        f = setup_filter([1, 3, 3, 1])
        _near(upfirdn2d(x, f.cuda(), **options), upfirdn2d(reference, f, **options), dtype)

    @pytest.mark.parametrize("act", ["linear", "lrelu", "swish"])
    def test_bias_act(self, dtype: torch.dtype, memory: torch.memory_format, act: str) -> None:
        x, reference = _image(dtype, memory)
        b = torch.randn(8, device="cuda").to(dtype)
        _near(bias_act(x, b, act=act, clamp=1.5), bias_act(reference, b.double().cpu(), act=act, clamp=1.5), dtype)

    def test_modulated_conv2d(self, dtype: torch.dtype, memory: torch.memory_format) -> None:
        x, reference = _image(dtype, memory)
        w, s = (torch.randn(*shape, device="cuda").to(dtype) for shape in ((6, 8, 3, 3), (2, 8)))
        expected = modulated_conv2d(reference, w.double().cpu(), s.double().cpu(), padding=1)
        _near(modulated_conv2d(x, w, s, padding=1), expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_supcon_loss(dtype: torch.dtype) -> None:
    z = torch.nn.functional.normalize(torch.randn(48, 16, dtype=torch.float64), dim=1)
    labels = torch.arange(48) // 4
    mine = supcon_loss(z.to("cuda", dtype), labels.cuda())
    expected = supcon_loss(z.to(dtype).double(), labels)
    assert abs(float(mine) - float(expected)) <= max(TOLERANCE[dtype], 1e-4) * float(expected)


def test_second_derivative_is_that_of_the_cpu() -> None:
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)

    def penalty(device: str) -> Tensor:
        w = weight.to(device).requires_grad_()
        x = images.to(device).requires_grad_()
        h = bias_act(torch.nn.functional.conv2d(x, w, padding=1), torch.zeros_like(w[:, 0, 0, 0]), act="lrelu")
        logits = upfirdn2d(h, setup_filter([1, 3, 3, 1], device=device), down=2, padding=1).square().sum()
        (gradient,) = torch.autograd.grad(logits, x, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), w)
        return second.cpu()

    on_gpu = penalty("cuda")
    assert on_gpu.abs().max() > 0
    torch.testing.assert_close(on_gpu, penalty("cpu"))
