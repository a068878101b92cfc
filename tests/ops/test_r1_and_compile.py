"""A small discriminator made of the ops: its R1 penalty reaches every weight, and whole steps compile."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothswap.ops import bias_act, downsample2d, modulated_conv2d, no_weight_gradients, setup_filter


class Discriminator(nn.Module):
    """[B, 3, 8, 8] → logits [B]."""

    def __init__(self, act: str = "lrelu") -> None:
        super().__init__()
        self.act = act
        self.conv = nn.Parameter(torch.randn(4, 3, 3, 3) / 5)
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3) / 6)
        self.bias = nn.Parameter(torch.randn(4))
        self.styles = nn.Parameter(torch.rand(1, 4) + 0.5)
        self.head = nn.Parameter(torch.randn(64) / 8)
        self.register_buffer("fir", setup_filter([1, 3, 3, 1]))

    def forward(self, images: Tensor) -> Tensor:
        assert isinstance(self.fir, Tensor)
        h = bias_act(F.conv2d(images, self.conv, padding=1), self.bias, act=self.act)
        h = modulated_conv2d(h, self.weight, self.styles.expand(len(h), -1), padding=1)
        h = bias_act(downsample2d(h, self.fir), self.bias, act=self.act, clamp=256)
        return h.flatten(1) @ self.head

    def stock(self, images: Tensor) -> Tensor:
        """The same network in stock PyTorch, whose second derivatives are PyTorch's own."""
        assert isinstance(self.fir, Tensor)
        act, bias = {"lrelu": lambda h: F.leaky_relu(h, 0.2), "swish": F.silu}[self.act], self.bias[:, None, None]
        h = act(F.conv2d(images, self.conv, padding=1) + bias) * math.sqrt(2)
        w = self.weight * self.styles[:, :, None, None]
        h = F.conv2d(h, w / (w.square().sum([1, 2, 3], keepdim=True) + 1e-8).sqrt(), padding=1)
        h = F.conv2d(h, self.fir.expand(4, 1, 4, 4).to(h), stride=2, padding=1, groups=4)
        return (act(h + bias) * math.sqrt(2)).clamp(-256, 256).flatten(1) @ self.head


def penalty(logits: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with no_weight_gradients():
        (grad,) = torch.autograd.grad(logits(images).sum(), images, create_graph=True)
    return grad.square().sum([1, 2, 3]).mean()


@pytest.mark.parametrize("act", ["lrelu", "swish"])
def test_r1_reaches_every_weight_and_is_right(act):
    net, images = Discriminator(act).double(), torch.randn(3, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    weights = dict(net.named_parameters())
    ours = torch.autograd.grad(penalty(net, images), list(weights.values()), allow_unused=True)
    own = torch.autograd.grad(penalty(net.stock, images), list(weights.values()), allow_unused=True)
    for name, a, b in zip(weights, ours, own, strict=True):
        if name == "bias" and act == "lrelu":  # piecewise linear: the bias moves no slope
            continue
        assert a is not None, name
        assert a.abs().max() > 0, name
        torch.testing.assert_close(a, b)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_training_step_compiles_whole():
    net, images = Discriminator(), torch.randn(2, 3, 8, 8)

    def step(images: Tensor) -> Tensor:
        return net(images).square().mean()

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images), step(images))
    ours = torch.autograd.grad(compiled(images), list(net.parameters()))
    for a, b in zip(ours, torch.autograd.grad(step(images), list(net.parameters())), strict=True):
        torch.testing.assert_close(a, b)
