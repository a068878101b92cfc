"""How the ops go through torch.func's transforms and forward-mode differentiation.

PyTorch takes an op that is defined from Python for a constant where it differentiates forwards. So every op names what
to compute with dual tensors instead: its reference in PyTorch's own ops, or a few of ours that are linear. In reverse
mode each level of torch.func's transforms meets the op's gradient; under vmap the op runs once for each member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad

from smoothswap.core.errors import DerivativeError


def forward_mode() -> bool:
    """Whether there may be dual tensors now; it costs nothing, and is false in nearly every program."""
    return forward_ad._current_level >= 0


def transformed() -> bool:
    """Whether forward mode or a transform of torch.func is active, which an autograd.Function does not go through."""
    return forward_mode() or torch._C._are_functorch_transforms_active()


def has_tangent(value: Any) -> bool:
    """Whether a value is a dual tensor, that is, one that forward-mode differentiation moves."""
    if not forward_mode() or not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    return torch._C._is_fwd_grad_enabled() and unpack_dual(value)[1] is not None


def unpack_dual(tensor: Tensor) -> tuple[Tensor, Tensor | None]:
    """A tensor's value, and its tangent or None."""
    return forward_ad.unpack_dual(tensor)  # type: ignore[no-any-return, no-untyped-call]


def make_dual(value: Tensor, tangent: Tensor) -> Tensor:
    """The dual tensor of a value and a tangent of its shape."""
    return forward_ad.make_dual(value, tangent)  # type: ignore[no-any-return, no-untyped-call]


def split(*tensors: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Values and tangents of tensors; zeros where there is no tangent."""
    pairs = [unpack_dual(tensor) for tensor in tensors]
    return [p for p, _ in pairs], [torch.zeros_like(p) if v is None else v for p, v in pairs]


def linear(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What an op that is linear in its first argument, and has no other that moves, computes with dual tensors."""

    def composed(x: Tensor, *rest: Any) -> Tensor:
        (value,), (tangent,) = split(x)
        return make_dual(op(value, *rest), op(tangent, *rest))

    return composed


def refused(op: str, instead: str) -> Callable[..., NoReturn]:
    """What an op without a derivative in forward mode does with dual tensors: it says so, and what to use instead."""

    def composed(*arguments: Any) -> NoReturn:
        raise DerivativeError(f"{op} has no derivative in forward mode", hint=instead)

    return composed


@contextmanager
def leaves() -> Iterator[None]:
    """Allows autograd.Functions and leaves inside of a transform, which PyTorch refuses to programs outside of ops."""
    functorch = torch._C._functorch
    function = functorch.get_single_level_autograd_function_allowed()
    in_place = functorch.get_inplace_requires_grad_allowed()
    functorch.set_single_level_autograd_function_allowed(True)
    functorch.set_inplace_requires_grad_allowed(True)
    try:
        yield
    finally:
        functorch.set_single_level_autograd_function_allowed(function)
        functorch.set_inplace_requires_grad_allowed(in_place)


def one_by_one(op: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of an op for vmap: a call for each member of the batch, the results stacked."""

    def rule(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
        if info.batch_size == 0:
            raise DerivativeError("vmap over a batch of nothing", hint="Leave the call out where the batch is empty.")

        def member(i: int) -> list[Any]:
            return [
                value.select(dim, i) if isinstance(value, Tensor) and dim is not None else value
                for value, dim in zip(arguments, in_dims, strict=True)
            ]

        results = [op(*member(i)) for i in range(info.batch_size)]
        if isinstance(results[0], tuple):
            return tuple(torch.stack(each) for each in zip(*results, strict=True)), (0,) * len(results[0])
        return torch.stack(results), 0

    return rule
