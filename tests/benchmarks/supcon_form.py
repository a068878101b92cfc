"""The supervised contrastive loss the way its paper states it, and the same in fp64 to judge by.

Written from the equations (Khosla et al. 2020, L_out): similarities, masks of who counts and of who is a positive, and
log-probabilities, all [N, N]: what a user has who takes the authors' formula.
"""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURE = 0.07
ROWS = 512  # of the fp64 matrix, held at a time


def dense(z: Tensor, labels: Tensor) -> Tensor:
    """z [N, D] of unit length, labels [N], everyone with a positive → scalar in at least fp32."""
    z = z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
    s = z @ z.T / TEMPERATURE
    s = s - s.max(dim=1, keepdim=True).values.detach()  # the sum of exponentials stays finite
    others = 1 - torch.eye(len(z), dtype=z.dtype, device=z.device)
    positives = (labels[:, None] == labels[None]).to(z.dtype) * others
    log_p = s - (s.exp() * others).sum(1, keepdim=True).log()
    return -((positives * log_p).sum(1) / positives.sum(1)).mean()


def exact(z: Tensor, labels: Tensor, copies: int = 1) -> tuple[Tensor, Tensor]:
    """Loss and gradient in fp64 of a batch that holds every vector `copies` times, under the same label.

    Copies share their gradient, so a batch of `copies`·M vectors is judged at the price of M.

    Args:
        z: the vectors [M, D] that differ.
        labels: their labels [M]; everyone has a positive, be it a copy.
        copies: how often each is there.

    Returns:
        The mean loss, and the gradient [M, D] of one copy of each.
    """
    z = z.detach().double().requires_grad_()
    total, gradient = z.new_zeros(()), torch.zeros_like(z)
    for some in torch.arange(len(z), device=z.device).split(ROWS):
        itself = torch.zeros(len(some), len(z), dtype=z.dtype, device=z.device)
        itself[torch.arange(len(some)), some] = 1
        s = z[some] @ z.T / TEMPERATURE
        lse = (s + (copies - itself).log()).logsumexp(1)  # nobody is compared with himself, but with his copies
        positives = copies * (labels[some, None] == labels).double() - itself
        loss = (lse - (positives * s).sum(1) / positives.sum(1)).sum() / len(z)
        (part,) = torch.autograd.grad(loss, z)
        total, gradient = total + loss.detach(), gradient + part / copies
    return total, gradient
