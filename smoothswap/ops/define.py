"""Defines an op of `torch.ops.smoothswap`: schema, dispatch to a kernel, fake kernel and gradient, in one call."""

from __future__ import annotations

from collections.abc import Callable
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
    torch.library.register_autograd(op, backward, setup_context=setup)
