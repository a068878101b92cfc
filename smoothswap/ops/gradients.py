"""A switch that spares the gradients of parameters where only those of the inputs are asked, as in R1's first pass.

PyTorch tells an op registered from Python that every gradient is wanted, even under `torch.autograd.grad(..., inputs)`;
without the switch a third of R1's first pass goes into weight gradients that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_wanted = True


@contextmanager
def no_weight_gradients(disable: bool = True) -> Iterator[None]:
    """While active, backward passes of `modulated_conv2d` and `bias_act` give no gradient for weight and bias.

    Wrap the backward pass, not the forward:

        with no_weight_gradients():
            (grad,) = torch.autograd.grad(logits.sum(), images, create_graph=True)

    Second derivatives taken later, outside the block, reach the weights as usual. It holds for the whole process, since
    PyTorch runs backward passes in threads of its own, and for backward passes that are traced by torch.compile while
    it is active.

    Args:
        disable: False makes the block do nothing.
    """
    global _wanted
    before, _wanted = _wanted, _wanted and not disable
    try:
        yield
    finally:
        _wanted = before


def weight_gradients_wanted() -> bool:
    """Whether a backward pass shall compute gradients of weights and biases now."""
    return _wanted
