"""PReLU against PyTorch's: values, gradients of both orders, precisions, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smoothswap.modules.prelu import PReLU


def twins(slopes: int) -> tuple[PReLU, nn.PReLU]:
    own, theirs = PReLU(slopes), nn.PReLU(slopes)
    with torch.no_grad():
        own.weight.copy_(torch.linspace(-0.3, 1.4, slopes))
        theirs.weight.copy_(own.weight)
    return own, theirs


@pytest.mark.parametrize("slopes", [1, 5])
@pytest.mark.parametrize("shape", [(3, 5), (2, 5, 4, 3), (0, 5, 2, 2)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_equals_torch(slopes: int, shape: tuple[int, ...], channels_last: bool) -> None:
    own, theirs = twins(slopes)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x.view(-1)[:2] = 0.0
    if channels_last and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    results = []
    for module in (own, theirs):
        given = x.clone(memory_format=torch.preserve_format).requires_grad_()
        out = module(given)
        out.backward(gradient)
        results.append((out, given.grad, module.weight.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-6)
    assert results[0][0].stride() == results[1][0].stride()


def test_gradients_of_both_orders() -> None:
    own = twins(3)[0].double()
    x = (torch.rand(2, 3, 2, 2, dtype=torch.float64) + 0.2) * torch.tensor([1.0, -1.0]).repeat(12).reshape(2, 3, 2, 2)
    x.requires_grad_()
    weight = own.weight.detach().clone().requires_grad_()

    def call(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(own, {"weight": weight}, x)

    assert torch.autograd.gradcheck(call, (x, weight))
    assert torch.autograd.gradgradcheck(call, (x, weight))


def test_half_precision_takes_the_slope_along() -> None:
    own, theirs = twins(3)
    x = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    out = own(x)
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert x.grad is not None
    torch.testing.assert_close(out, theirs.to(torch.bfloat16)(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert own(x).dtype == torch.bfloat16


def test_frozen_slopes_get_no_gradient_and_files_fit() -> None:
    own, theirs = twins(3)
    own.requires_grad_(False)
    x = torch.randn(2, 3, 4, requires_grad=True)
    own(x).sum().backward()
    assert own.weight.grad is None
    assert own.state_dict().keys() == theirs.state_dict().keys()


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_transforms() -> None:
    own, theirs = (module.double() for module in twins(4))
    theirs.load_state_dict(own.state_dict())
    x = torch.randn((2, 4, 3), dtype=torch.float64)
    for apply in (
        lambda f: torch.func.jvp(f, (x,), (x.cos(),)),
        lambda f: torch.func.jacfwd(f)(x),
        lambda f: torch.func.grad(lambda x: f(x).sin().sum())(x),
        lambda f: torch.func.vmap(torch.func.grad(lambda x: f(x).sin().sum()))(torch.stack([x, -x])),
    ):
        torch.testing.assert_close(apply(own), apply(theirs))
