"""DepthwiseConv2d against PyTorch's: values, gradients of both orders, bfloat16, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smoothswap.modules.depthwise import DepthwiseConv2d


def twins(channels: int, size: int, stride: int) -> tuple[DepthwiseConv2d, nn.Conv2d]:
    own = DepthwiseConv2d(channels, size, stride)
    theirs = nn.Conv2d(channels, channels, size, stride, size // 2, groups=channels, bias=False)
    theirs.load_state_dict(own.state_dict())
    return own, theirs


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 2), (3, 3)])
@pytest.mark.parametrize("side", [8, 11])
@pytest.mark.parametrize("channels_last", [False, True])
def test_equals_torch(size: int, stride: int, side: int, channels_last: bool) -> None:
    own, theirs = twins(4, size, stride)
    x = torch.randn(2, 4, side, side)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    results = []
    for module in (own, theirs):
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        out = module(given)
        out.square().sum().backward()
        results.append((out, given.grad, module.weight.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)


def test_gradients_of_both_orders() -> None:
    own = twins(2, 3, 2)[0].double()
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    weight = own.weight.detach().clone().requires_grad_()

    def call(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(own, {"weight": weight}, x)

    assert torch.autograd.gradcheck(call, (x, weight))
    assert torch.autograd.gradgradcheck(call, (x, weight))


@pytest.mark.parametrize("stride", [2, 3])
def test_bfloat16_under_autocast(stride: int) -> None:
    own, theirs = twins(8, 3, stride)
    x = torch.randn(2, 8, 12, 12)
    exact, rounded = x.clone().requires_grad_(), x.bfloat16().requires_grad_()
    theirs(exact).square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        out = own(rounded)
    out.float().square().sum().backward()
    assert out.dtype == torch.bfloat16
    assert exact.grad is not None
    assert rounded.grad is not None
    assert rounded.grad.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.grad.float(), exact.grad, atol=0.05, rtol=0.05)
    assert own.weight.grad is not None
    assert theirs.weight.grad is not None
    torch.testing.assert_close(own.weight.grad, theirs.weight.grad, atol=0.2, rtol=0.05)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_transforms() -> None:
    own, theirs = (module.double() for module in twins(4, 3, 2))
    theirs.load_state_dict(own.state_dict())
    x = torch.randn((2, 4, 6, 5), dtype=torch.float64)
    for apply in (
        lambda f: torch.func.jvp(f, (x,), (x.cos(),)),
        lambda f: torch.func.jacfwd(f)(x),
        lambda f: torch.func.grad(lambda x: f(x).sin().sum())(x),
        lambda f: torch.func.vmap(torch.func.grad(lambda x: f(x).sin().sum()))(torch.stack([x, -x])),
    ):
        torch.testing.assert_close(apply(own), apply(theirs))
