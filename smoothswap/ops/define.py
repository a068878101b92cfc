"""Defines an op of `torch.ops.smoothswap`: schema, dispatch to a kernel, fake kernel and gradient, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

NAMESPACE = "smoothswap"


def define(
    name: str,
    schema: str,
    *,
    run: Callable[..., Any],
    fake: Callable[..., Any],
    setup: Callable[..., None],
    backward: Callable[..., Any],
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
    """
    op = f"{NAMESPACE}::{name}"
    torch.library.define(op, schema)
    torch.library.impl(op, "default", run)
    torch.library.register_fake(op, fake)
    _LIBRARY.impl(name, _autograd(name, setup, backward), "Autograd", with_keyset=True)  # type: ignore[no-untyped-call]


_LIBRARY = torch.library.Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]


def _autograd(name: str, setup: Callable[..., None], backward: Callable[..., Any]) -> Callable[..., Any]:
    """What `torch.library.register_autograd` makes, for schemas without keyword-only arguments.

    It reads the schema anew in each call, which takes longer than many a kernel; here the defaults are read once.
    """
    op = getattr(getattr(torch.ops, NAMESPACE), name).default
    defaults = [argument.default_value for argument in op._schema.arguments]

    def below(keyset: Any, arguments: Sequence[Any]) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return op.redispatch(keyset & torch._C._after_autograd_keyset, *arguments)

    class Differentiated(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments_and_keyset: Any) -> Any:
            *arguments, keyset = arguments_and_keyset
            result = below(keyset, arguments)
            setup(ctx, tuple(arguments), result)
            return result

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return *backward(ctx, *gradients), None

    Differentiated.__name__ = Differentiated.__qualname__ = f"{NAMESPACE}_{name}"

    def run(keyset: Any, *arguments: Any) -> Any:
        if torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments):
            # The dispatcher leaves out trailing arguments that equal their defaults.
            return Differentiated.apply(*arguments, *defaults[len(arguments) :], keyset)  # type: ignore[no-untyped-call]
        return below(keyset, arguments)

    return run
