"""r1: its value by hand, and that it really reaches the discriminator's parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.losses.r1 import R1Loss
from smoothswap.ops import bias_act


def r1(**options: float) -> R1Loss:
    return R1Loss(R1Loss.Config(**options))


def real_images(count: int = 2, side: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, side, side, dtype=dtype, requires_grad=True)


def test_linear_discriminator_by_hand() -> None:
    # D(x) = w·x has the gradient w everywhere: γ/2·‖w‖².
    images, w = real_images(5), torch.randn(3, 4, 4, requires_grad=True)
    penalty = r1(gamma=3.0)((images * w).sum((1, 2, 3)), images)
    torch.testing.assert_close(penalty, 1.5 * w.square().sum())


def test_square_discriminator_by_hand() -> None:
    # D(x) = Σ x² has the gradient 2x: γ/2·mean ‖2x‖².
    images = real_images()
    penalty = r1(gamma=1.0)(images.square().sum((1, 2, 3)), images)
    torch.testing.assert_close(penalty, 2 * images.square().sum((1, 2, 3)).mean())


def test_parameters_get_the_penalty_s_gradient() -> None:
    images, w = real_images(), torch.randn(3, 4, 4, requires_grad=True)
    r1(gamma=2.0)((images * w).sum((1, 2, 3)), images).backward()
    torch.testing.assert_close(w.grad, 2 * w.detach())


def test_reaches_every_weight_through_the_library_s_ops() -> None:
    conv, last = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(4, 1, bias=False)
    images = real_images(side=6)
    features = bias_act(conv(images), torch.zeros(4), act="lrelu").mean((2, 3))
    r1()(last(features), images).backward()
    assert conv.weight.grad.abs().sum() > 0
    assert last.weight.grad.abs().sum() > 0


def test_gradient_of_the_penalty() -> None:
    images = real_images(dtype=torch.float64)

    def penalty(w: Tensor) -> Tensor:
        return r1()((images * w).sum((1, 2, 3)).tanh(), images)

    assert torch.autograd.gradcheck(penalty, (torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True),))


def test_lazy_weight_keeps_the_mean() -> None:
    loss = r1(every=16)
    assert sum(loss.weight for step in range(160) if step % loss.config.every == 0) / 160 == 1.0
    assert r1(every=1).weight == 1.0


def test_errors() -> None:
    images = real_images()
    with pytest.raises(ArgumentError, match="real_images do not require grad"):
        r1()(torch.zeros(2, 1, requires_grad=True), images.detach())
    with pytest.raises(ArgumentError, match="real_logits do not depend on real_images"):
        r1()(torch.zeros(2, 1, requires_grad=True), images)
    with pytest.raises(ArgumentError, match="real_logits do not depend on real_images"):
        r1()(images.sum((1, 2, 3)).detach(), images)
    with pytest.raises(ArgumentError, match=r"real_logits have shape \[1\], but \[2, 1\] is needed"):
        r1()(images.sum()[None], images)
    with pytest.raises(ConfigError, match="every"):
        r1(every=0)


class _ForgetsSecondDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return 2 * grad.detach()


def test_an_op_without_second_derivative_is_refused() -> None:
    images, w = real_images(), torch.randn(3, 4, 4, requires_grad=True)
    logits = _ForgetsSecondDerivative.apply((images * w).tanh().sum((1, 2, 3)))
    # Here w still has a graph by way of tanh; cut off right at the pictures, nothing is left.
    assert r1()(logits, images).requires_grad
    logits = (_ForgetsSecondDerivative.apply(images) * 3.0).sum((1, 2, 3))
    with pytest.raises(ArgumentError, match="depends on no parameter"):
        r1()(logits, images)
