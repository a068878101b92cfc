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


def r1_gradients(net: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Gradients of the R1 penalty in the module's weights."""
    images = images.detach().requires_grad_()
    with no_weight_gradients():
        (gradient,) = torch.autograd.grad(net(images).square().sum(), images, create_graph=True)
    penalty = gradient.square().sum([1, 2, 3]).mean()
    return torch.autograd.grad(penalty, list(net.parameters()), allow_unused=True)


@pytest.mark.parametrize("name", MODULES)
def test_module(backend, name):
    net, x = MODULES[name](), torch.randn(2, 3, 8, 8)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), net(x))
    weights = list(net.parameters())
    ours = torch.autograd.grad(compiled(x).square().sum(), weights)
    for a, b in zip(ours, torch.autograd.grad(net(x).square().sum(), weights), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", MODULES)
def test_whole_r1_step(backend, name):
    net, images = MODULES[name](), torch.randn(2, 3, 8, 8)
    compiled = torch.compile(lambda x: r1_gradients(net, x), fullgraph=True, backend="aot_eager")
    eager = r1_gradients(net, images)
    assert any(g is not None and g.abs().max() > 0 for g in eager)
    for a, b in zip(compiled(images), eager, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)


def test_r1_of_a_compiled_module_is_refused_by_pytorch(backend):
    net, images = Shrink(), torch.randn(2, 3, 8, 8, requires_grad=True)
    compiled = torch.compile(net, backend="aot_eager")
    (gradient,) = torch.autograd.grad(compiled(images).square().sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        gradient.square().sum().backward()
