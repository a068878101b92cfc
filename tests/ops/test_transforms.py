"""Every op under every transform of torch.func and torch.autograd: the values of the same formula in stock PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as forward
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

from smoothswap.core.errors import ArgumentError, DerivativeError, SmoothSwapError
from smoothswap.ops import (
    bias_act,
    downsample2d,
    group_norm_act,
    modulated_conv2d,
    no_weight_gradients,
    setup_filter,
    supcon_loss,
    upfirdn2d,
    upsample2d,
)
from smoothswap.ops.classes_lse import classes_lse
from smoothswap.ops.stylegan.conv2d_resample import conv2d_resample

# PyTorch compiles its own derivatives with a tool that it calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit:DeprecationWarning", "ignore:Attempted to insert:UserWarning"
)

FIR = setup_filter([1, 3, 3, 1])
LABELS = torch.tensor([0, 1, 0, 2, 1])
LISTS = (torch.tensor([0, 2, 2, 3, 3, 4]), torch.tensor([1, 2, 0, 3]))


def silu(x: Tensor) -> Tensor:
    """By its equation: F.silu, F.group_norm and torch.logsumexp lack derivatives of some kinds, or have wrong ones."""
    return x * torch.sigmoid(x)


def group_norm(x: Tensor, groups: int) -> Tensor:
    """x [B, C, W], without weight."""
    X = x.reshape(len(x), groups, -1)
    X = X - X.mean(2, keepdim=True)
    return (X * (X.square().mean(2, keepdim=True) + 1e-6).rsqrt()).reshape(x.shape)


def stuffed(x: Tensor) -> Tensor:
    """Zeros between the pixels of x [B, C, H, W] → [B, C, 2H, 2W]."""
    x = torch.stack([x, torch.zeros_like(x)], -1).flatten(-2)
    return torch.stack([x, torch.zeros_like(x)], -2).flatten(-3, -2)


def filtered(x: Tensor) -> Tensor:
    taps = FIR.to(x).expand(x.shape[-3], 1, 4, 4)
    return F.conv2d(x, taps, groups=x.shape[-3])


def stock_modulated(x: Tensor, w: Tensor, s: Tensor, b: Tensor) -> Tensor:
    w = w * s[:, None, :, None, None]  # [N, O, I, k, k]
    w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    y = F.conv2d(x.flatten(0, 1)[None], w.flatten(0, 1), padding=1, groups=len(x))
    y = y.reshape(len(x), -1, *y.shape[2:]) + b[:, None, None]
    return (F.leaky_relu(y, 0.2) * math.sqrt(2)).clamp(-1, 1)


def stock_supcon(z: Tensor, positives: Tensor, tau: float) -> Tensor:
    s = z @ z.T / tau
    lse = s.exp().masked_fill(torch.eye(len(z), dtype=torch.bool), 0).sum(1).log()
    count = positives.sum(1)
    losses = torch.where(count > 0, lse - (positives * s).sum(1) / count.clamp(min=1), 0)
    return losses.sum() / (count > 0).sum()


SAME_LABEL = (LABELS[:, None] == LABELS).double() - torch.eye(5, dtype=torch.double)
LISTED = torch.tensor([[0, 1, 1, 0, 0], [0] * 5, [1, 0, 0, 0, 0], [0] * 5, [0, 0, 0, 1, 0]], dtype=torch.double)


# the op, the same in stock PyTorch, and the shapes of the arguments that move
OPS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "bias_act, lrelu": (
        partial(bias_act, act="lrelu", clamp=1.0),
        lambda x, b: (F.leaky_relu(x + b[:, None], 0.2) * math.sqrt(2)).clamp(-1, 1),
        [(2, 3, 2), (3,)],
    ),
    "bias_act, tanh": (partial(bias_act, act="tanh"), lambda x, b: torch.tanh(x + b[:, None]), [(2, 3, 2), (3,)]),
    "bias_act, swish": (
        partial(bias_act, act="swish", gain=0.7),
        lambda x, b: 0.7 * silu(x + b[:, None]),
        [(2, 3, 2), (3,)],
    ),
    "bias_act, linear": (bias_act, lambda x: x, [(2, 3, 2)]),
    "upfirdn2d": (
        lambda x: upfirdn2d(x, FIR, padding=[2, 1, 0, 1], gain=1.5),
        lambda x: 1.5 * filtered(F.pad(x, [2, 1, 0, 1])),
        [(2, 2, 3, 3)],
    ),
    "upsample2d": (
        lambda x: upsample2d(x, FIR),
        lambda x: 4 * filtered(F.pad(stuffed(x), [2, 1, 2, 1])),
        [(1, 2, 2, 3)],
    ),
    "downsample2d": (
        lambda x: downsample2d(x, FIR),
        lambda x: filtered(F.pad(x, [1, 1, 1, 1]))[..., ::2, ::2],
        [(2, 1, 4, 4)],
    ),
    "modulated_conv2d": (
        lambda x, w, s, b: modulated_conv2d(x, w, s, padding=1, bias=b, act="lrelu", clamp=1.0),
        stock_modulated,
        [(2, 2, 3, 3), (2, 2, 3, 3), (2, 2), (2,)],
    ),
    "modulated_conv2d, twice as large": (
        lambda x, w, s, n: modulated_conv2d(x, w, s, n, up=2, resample_filter=FIR, demodulate=False, act="tanh"),
        lambda x, w, s, n: torch.tanh(
            F.conv2d(4 * filtered(F.pad(stuffed(x * s[:, :, None, None]), [2, 1, 2, 1])), w) + n
        ),
        [(2, 2, 2, 2), (1, 2, 1, 1), (2, 2), (4, 4)],
    ),
    "conv2d_resample": (
        lambda x, w: conv2d_resample(x, w, FIR, down=2, padding=1),
        lambda x, w: F.conv2d(filtered(F.pad(x, [2, 2, 2, 2])), w, stride=2),
        [(1, 2, 4, 4), (2, 2, 3, 3)],
    ),
    "group_norm_act": (
        lambda x, w, b: group_norm_act(x, 2, w, b),
        lambda x, w, b: silu(group_norm(x, 2) * w[:, None] + b[:, None]),
        [(2, 4, 3), (4,), (4,)],
    ),
    "group_norm_act, no weight": (
        lambda x: group_norm_act(x, 1, act="tanh"),
        lambda x: torch.tanh(group_norm(x, 1)),
        [(2, 2, 3)],
    ),
    "supcon_loss, labels": (
        lambda z: supcon_loss(z, LABELS, 0.5),
        lambda z: stock_supcon(z, SAME_LABEL, 0.5),
        [(5, 3)],
    ),
    "supcon_loss, lists": (
        lambda z: supcon_loss(z, temperature=0.5, positives=LISTS),
        lambda z: stock_supcon(z, LISTED, 0.5),
        [(5, 3)],
    ),
}

Function = Callable[..., Tensor]
Arguments = tuple[Tensor, ...]


def scalar(f: Function) -> Function:
    return lambda *a: f(*a).sin().sum()


def all_of(a: Arguments) -> tuple[int, ...]:
    return tuple(range(len(a)))


def moved(a: Arguments) -> Arguments:
    return tuple(torch.cos(3 * x + i) for i, x in enumerate(a))


def batch(a: Arguments) -> Arguments:
    return tuple(torch.stack([x, x.flip(0), x * 2]) for x in a)


def duals(f: Function, a: Arguments) -> Any:
    with forward.dual_level():
        return tuple(forward.unpack_dual(f(*map(forward.make_dual, a, moved(a)))))


def duals_over_backward(f: Function, a: Arguments) -> Any:
    """The tangent of a gradient of which no graph is kept."""
    with forward.dual_level():
        a = tuple(forward.make_dual(x.clone().requires_grad_(), v) for x, v in zip(a, moved(a), strict=True))
        gradients = torch.autograd.grad(f(*a).sin().sum(), a)
        return tuple(forward.unpack_dual(g).tangent for g in gradients)


def backward_over_duals(f: Function, a: Arguments) -> Any:
    with forward.dual_level():
        a = tuple(x.clone().requires_grad_() for x in a)
        y = f(*(forward.make_dual(x, v) for x, v in zip(a, moved(a), strict=True)))
        return torch.autograd.grad(forward.unpack_dual(y).tangent.sin().sum(), a, materialize_grads=True)


def without_grad(f: Function, a: Arguments) -> Any:
    with torch.no_grad():
        return vjp(f, *a)[1](torch.ones_like(f(*a))), jvp(f, a, moved(a))


def batched_gradients(f: Function, a: Arguments) -> Any:
    a = tuple(x.clone().requires_grad_() for x in a)
    y = f(*a)
    rows = torch.stack([torch.ones_like(y), torch.cos(y.detach())])
    return torch.autograd.grad(y, a, rows, is_grads_batched=True)


def twice_in_a_row(f: Function, a: Arguments) -> Any:
    return grad(lambda *a: sum(g.sin().sum() for g in grad(scalar(f), all_of(a))(*a)), all_of(a))(*a)


TRANSFORMS: dict[str, Callable[[Function, Arguments], Any]] = {
    "grad": lambda f, a: grad(scalar(f), all_of(a))(*a),
    "grad of grad": twice_in_a_row,
    "vjp": lambda f, a: vjp(f, *a)[1](torch.cos(f(*a))),
    "jvp": lambda f, a: jvp(f, a, moved(a)),
    "jvp by one argument": lambda f, a: jvp(lambda x: f(x, *a[1:]), a[:1], moved(a)[:1]),
    "jvp of jvp": lambda f, a: jvp(lambda *a: jvp(f, a, moved(a))[1], a, moved(a)),
    "jvp of grad": lambda f, a: jvp(grad(scalar(f), all_of(a)), a, moved(a)),
    "grad of jvp": lambda f, a: grad(lambda *a: jvp(f, a, moved(a))[1].sin().sum(), all_of(a))(*a),
    "linearize": lambda f, a: linearize(f, *a)[1](*moved(a)),
    "jacrev": lambda f, a: jacrev(f, all_of(a))(*a),
    "jacfwd": lambda f, a: jacfwd(f, all_of(a))(*a),
    "hessian": lambda f, a: hessian(scalar(f), all_of(a))(*a),
    "jacrev of jacrev": lambda f, a: jacrev(jacrev(scalar(f)))(*a),
    "jacrev of jacfwd": lambda f, a: jacrev(jacfwd(scalar(f)))(*a),
    "jacfwd of jacfwd": lambda f, a: jacfwd(jacfwd(scalar(f)))(*a),
    "vmap": lambda f, a: vmap(f)(*batch(a)),
    "vmap over the last dimension": lambda f, a: (
        vmap(f, -1, 1)(*(x.movedim(0, -1) for x in batch(a)))
        if f(*a).ndim
        else vmap(f, -1)(*(x.movedim(0, -1) for x in batch(a)))
    ),
    "vmap over one argument": lambda f, a: vmap(f, (0, *[None] * (len(a) - 1)))(batch(a)[0], *a[1:]),
    "vmap of vmap": lambda f, a: vmap(vmap(f))(*batch(batch(a))),
    "vmap of grad": lambda f, a: vmap(grad(scalar(f), all_of(a)))(*batch(a)),
    "vmap of jvp": lambda f, a: vmap(lambda *a: jvp(f, a, moved(a)))(*batch(a)),
    "grad of vmap": lambda f, a: grad(lambda *a: vmap(f)(*a).sin().sum(), all_of(a))(*batch(a)),
    "jvp of vmap": lambda f, a: jvp(vmap(f), batch(a), moved(batch(a))),
    "dual tensors": duals,
    "dual tensors over a backward pass": duals_over_backward,
    "a backward pass over dual tensors": backward_over_duals,
    "under no_grad": without_grad,
    "batched gradients": batched_gradients,
    "autograd.functional, forward": lambda f, a: torch.autograd.functional.jacobian(
        f, a, vectorize=True, strategy="forward-mode"
    ),
    "autograd.functional, hessian": lambda f, a: torch.autograd.functional.hessian(scalar(f), a, vectorize=True),
}


def arguments(op: str) -> Arguments:
    torch.manual_seed(3)
    return tuple(torch.randn(size, dtype=torch.double) for size in OPS[op][2])


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("op", OPS)
def test_against_stock(op, transform):
    ours, stock, _ = OPS[op]
    apply, a = TRANSFORMS[transform], arguments(op)
    torch.testing.assert_close(apply(ours, a), apply(stock, a), rtol=1e-7, atol=1e-9)


ACTS = ["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("clamp", [None, 0.6])
def test_every_activation_forwards_and_backwards(act, clamp):
    torch.manual_seed(1)
    x, v, b = (torch.randn(size, dtype=torch.double) for size in ((2, 3, 4), (2, 3, 4), (3,)))

    def f(x: Tensor) -> Tensor:
        return bias_act(x, b, act=act, clamp=clamp)

    by_vjp = vjp(lambda u: vjp(f, x)[1](u)[0], torch.zeros_like(x))[1](v)[0]
    torch.testing.assert_close(jvp(f, (x,), (v,))[1], by_vjp)
    rows = torch.eye(24, dtype=torch.double).reshape(24, 2, 3, 4)
    forwards = vmap(lambda v: jvp(grad(scalar(f)), (x,), (v,))[1])(rows)
    torch.testing.assert_close(forwards.reshape(24, 24), jacrev(jacrev(scalar(f)))(x).reshape(24, 24))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tangents_have_the_precision_and_layout_of_the_result(dtype):
    x = torch.randn(2, 4, 6, 6).to(dtype).contiguous(memory_format=torch.channels_last)
    w, s = torch.randn(3, 4, 3, 3).to(dtype), torch.randn(2, 4).to(dtype)
    for f in (
        partial(bias_act, act="tanh"),
        lambda x: upfirdn2d(x, FIR, padding=1),
        lambda x: group_norm_act(x, 2),
        lambda x: modulated_conv2d(x, w, s),
    ):
        with forward.dual_level():
            y, dy = forward.unpack_dual(f(forward.make_dual(x, torch.ones_like(x))))
        exact = jvp(f, (x.double(),), (torch.ones_like(x).double(),))[1] if f.__class__ is partial else None
        assert y.dtype == dy.dtype == dtype
        assert dy.is_contiguous(memory_format=torch.channels_last)
        if exact is not None:
            torch.testing.assert_close(dy.double(), exact, rtol=2e-2, atol=2e-2)


def test_tangents_do_not_hang_on_no_weight_gradients():
    x, b = torch.randn(2, 3), torch.randn(3)
    with no_weight_gradients():
        moved = jvp(lambda b: bias_act(x, b, act="tanh"), (b,), (torch.ones(3),))[1]
    torch.testing.assert_close(moved, 1 - torch.tanh(x + b).square())


def test_a_tangent_that_is_turned_off_is_none():
    x = torch.randn(2, 3)
    with forward.dual_level():
        dual = forward.make_dual(x, torch.ones_like(x))
        with forward._set_fwd_grad_enabled(False):
            assert forward.unpack_dual(bias_act(dual, act="tanh")).tangent is None


class Block(nn.Module):
    """[C, H, W] → scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, 3, 3).double())
        self.bias = nn.Parameter(torch.randn(2).double())

    def forward(self, x: Tensor) -> Tensor:
        h = modulated_conv2d(x[None], self.weight, torch.ones(1, 3).double(), padding=1)
        return bias_act(downsample2d(h, FIR), self.bias, act="lrelu").square().sum()


def test_gradients_of_each_sample_by_functional_call():
    torch.manual_seed(0)
    net, images = Block(), torch.randn(4, 3, 6, 6, dtype=torch.double)
    weights = dict(net.named_parameters())
    each = vmap(grad(lambda w, x: functional_call(net, w, (x,))), (None, 0))(weights, images)
    for i, image in enumerate(images):
        alone = torch.autograd.grad(net(image), list(weights.values()))
        for name, gradient in zip(weights, alone, strict=True):
            torch.testing.assert_close(each[name][i], gradient)


Z, W = torch.randn(4, 3, dtype=torch.double), torch.randn(6, 3, dtype=torch.double)
CLASSES = torch.tensor([0, 5, 2, 2])


def of_classes(x: Tensor) -> Tensor:
    return classes_lse(x, W, None, CLASSES)[0].sum()


REFUSED = {
    "a filter that moves": (lambda: jvp(lambda f: upfirdn2d(torch.ones(1, 1, 8, 8), f), (FIR,), (FIR,)), "f.detach()"),
    "a filter that learns": (lambda: grad(lambda f: upfirdn2d(torch.ones(1, 1, 8, 8), f).sum())(FIR), "f.detach()"),
    "a resample_filter that moves": (
        lambda: jvp(
            lambda f: modulated_conv2d(Z[None, :3, :2, None], W[:2, :3, None, None], Z[:1], up=2, resample_filter=f),
            (FIR,),
            (FIR,),
        ),
        "resample_filter.detach()",
    ),
    "classes_lse, forward": (lambda: jvp(of_classes, (Z,), (Z,)), "reverse mode"),
    "classes_lse, jacfwd": (lambda: jacfwd(of_classes)(Z), "reverse mode"),
    "classes_lse, second": (lambda: grad(lambda x: grad(of_classes)(x).sum())(Z), "torch.logsumexp"),
    "classes_lse, hessian": (lambda: hessian(of_classes)(Z), "reverse mode"),
    "supcon_loss, third": (
        lambda: grad(lambda z: jacrev(jacrev(scalar(OPS["supcon_loss, labels"][0])))(z).sum())(
            torch.ones(5, 3, dtype=torch.double)
        ),
        "torch.logsumexp",
    ),
    "supcon_loss, third, forward": (
        lambda: jacfwd(jacrev(jacrev(scalar(OPS["supcon_loss, labels"][0]))))(torch.ones(5, 3, dtype=torch.double)),
        "torch.logsumexp",
    ),
    "vmap over nothing": (lambda: vmap(bias_act)(torch.ones(0, 2, 3)), "empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_an_error_that_says_what_to_use_instead(case):
    call, instead = REFUSED[case]
    with pytest.raises((DerivativeError, ArgumentError)) as caught:
        call()
    assert isinstance(caught.value, SmoothSwapError)
    assert instead in caught.value.hint


def test_a_gradient_of_many_classes_is_right_under_transforms():
    stock = lambda x: torch.logsumexp((x @ W.T).scatter(1, CLASSES[:, None], -math.inf), 1).sum()  # noqa: E731
    for apply in (lambda f: grad(f)(Z), lambda f: jacrev(f)(Z), lambda f: vmap(grad(f))(torch.stack([Z, 2 * Z]))):
        torch.testing.assert_close(apply(of_classes), apply(stock))
