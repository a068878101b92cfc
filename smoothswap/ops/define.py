"""Defines an op of `torch.ops.smoothswap`: schema, dispatch to a kernel, fake kernel and derivatives, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd import forward_ad

from smoothswap.ops import transforms

NAMESPACE = "smoothswap"


def define(
    name: str,
    schema: str,
    *,
    run: Callable[..., Any],
    fake: Callable[..., Any],
    setup: Callable[..., None],
    backward: Callable[..., Any],
    composed: Callable[..., Any],
) -> None:
    """Defines the op `smoothswap::name`.

    Args:
        name: name of the op.
        schema: its arguments and results, as in `torch.library.define`.
        run: computes the result on any device.
        fake: gives an empty result of the right shape, dtype and strides.
        setup: `setup(ctx, inputs, output)` keeps what the backward pass needs.
        backward: `backward(ctx, *grads)` gives one gradient for each argument, in ops that are differentiable
            themselves: an opaque op without a gradient would silently count as a constant in R1.
        composed: the op in ops that have derivatives in forward mode; it takes and gives dual tensors.
    """
    op = f"{NAMESPACE}::{name}"
    torch.library.define(op, schema)
    torch.library.impl(op, "default", run)
    torch.library.register_fake(op, fake)
    autograd = _autograd(name, setup, backward, composed)
    _LIBRARY.impl(name, autograd, "Autograd", with_keyset=True)  # type: ignore[no-untyped-call]
    torch.library.register_vmap(op, transforms.one_by_one(getattr(getattr(torch.ops, NAMESPACE), name)))


def for_onnx() -> bool:
    """Whether a model is being exported to ONNX, which knows PyTorch's own ops alone."""
    # The question itself costs as much as a small op, so it is put where somebody traces.
    return (torch.compiler.is_compiling() or torch._C._is_tracing()) and torch.onnx.is_in_onnx_export()


_LIBRARY = torch.library.Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]


def _autograd(
    name: str, setup: Callable[..., None], backward: Callable[..., Any], composed: Callable[..., Any]
) -> Callable[..., Any]:
    """What `torch.library.register_autograd` makes, for schemas without keyword-only arguments, and forward mode.

    It reads the schema anew in each call, which takes longer than many a kernel; here the defaults are read once.
    """
    op = getattr(getattr(torch.ops, NAMESPACE), name).default
    defaults = [argument.default_value for argument in op._schema.arguments]

    def below(keyset: Any, arguments: Sequence[Any]) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return op.redispatch(keyset & torch._C._after_autograd_keyset, *arguments)

    class Differentiated(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *given: Any) -> Any:
            *arguments, keyset, tangents = given
            if tangents is None:
                result = below(keyset, arguments)
            else:  # an autograd.Function turns off what the levels below of torch.func's transforms still need
                with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(tangents):
                    result = below(keyset, arguments)
            setup(ctx, tuple(arguments), result)
            return result

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return *backward(ctx, *gradients), None, None

    Differentiated.__name__ = Differentiated.__qualname__ = f"{NAMESPACE}_{name}"

    # Not `Function.apply`, which would hand all of torch.func's transforms at once to a rule of PyTorch's: here each of
    # them is met at its own level.
    apply: Callable[..., Any] = super(torch.autograd.Function, Differentiated).apply

    def run(keyset: Any, *arguments: Any) -> Any:
        if transforms.forward_mode() and any(map(transforms.has_tangent, arguments)):
            return composed(*arguments, *defaults[len(arguments) :])
        if not (torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments)):
            return below(keyset, arguments)
        # The dispatcher leaves out trailing arguments that equal their defaults.
        every = (*arguments, *defaults[len(arguments) :], keyset)
        if not torch._C._are_functorch_transforms_active():
            return apply(*every, None)
        with transforms.leaves():
            return apply(*every, torch._C._is_fwd_grad_enabled())

    return run
