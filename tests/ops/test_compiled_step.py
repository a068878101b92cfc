"""torch.compile without graph breaks: modules that use the ops, and the one way to compile an R1 step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.discriminators.stylegan2 import Block
from smoothswap.ops import bias_act, no_weight_gradients, setup_filter, upfirdn2d, use

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class Shrink(nn.Module):
    """Convolution, bias and activation, blur and halve: [B, 3, H, W] → [B, 4, H/2, W/2]."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3) / 5)
        self.bias = nn.Parameter(torch.randn(4))
        self.register_buffer("fir", setup_filter([1, 3, 3, 1]))

    def forward(self, x: Tensor) -> Tensor:
        h = bias_act(F.conv2d(x, self.weight, padding=1), self.bias, act="lrelu", clamp=256)
        return upfirdn2d(h, self.fir, down=2, padding=1)


MODULES = {"shrink": Shrink, "discriminator block": lambda: Block(3, 4, (1.0, 3.0, 3.0, 1.0), 256.0)}


@pytest.fixture(params=["auto", "reference"])
def backend(request):
    torch._dynamo.reset()
    with use(request.param):
        yield


def penalty(net: nn.Module, images: Tensor) -> Tensor:
    """R1 of the module's squared output."""
    with no_weight_gradients():
        (gradient,) = torch.autograd.grad(net(images).square().sum(), images, create_graph=True)
    return gradient.square().sum([1, 2, 3]).mean()


@pytest.mark.parametrize("name", MODULES)
def test_module(backend, name):
    net, x = MODULES[name](), torch.randn(2, 3, 8, 8)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), net(x))
    weights = list(net.parameters())
    ours = torch.autograd.grad(compiled(x).square().sum(), weights)
    for a, b in zip(ours, torch.autograd.grad(net(x).square().sum(), weights), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.skipif(not hasattr(torch._dynamo.config, "trace_autograd_ops"), reason="this PyTorch cannot trace it")
@pytest.mark.parametrize("name", MODULES)
def test_whole_r1_step(backend, name):
    net, images = MODULES[name](), torch.randn(2, 3, 8, 8, requires_grad=True)
    weights = list(net.parameters())
    compiled = torch.compile(lambda x: penalty(net, x), fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        loss = compiled(images)
    torch.testing.assert_close(loss, penalty(net, images))
    ours = torch.autograd.grad(loss, weights, materialize_grads=True)
    eager = torch.autograd.grad(penalty(net, images), weights, materialize_grads=True)
    assert any(g.abs().max() > 0 for g in eager)
    for a, b in zip(ours, eager, strict=True):
        torch.testing.assert_close(a, b)


def test_r1_of_a_compiled_module_is_refused_by_pytorch(backend):
    net, images = Shrink(), torch.randn(2, 3, 8, 8, requires_grad=True)
    compiled = torch.compile(net, backend="aot_eager")
    (gradient,) = torch.autograd.grad(compiled(images).square().sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        gradient.square().sum().backward()
